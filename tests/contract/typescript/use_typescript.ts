// A client as a stranger writes it: types made of the document, and nothing known beside them.
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.ts";

type Classification = components["schemas"]["Classification"];

const [url, sender, reviewer, department, file] = process.argv.slice(2) as [
  string, string, string, string, string,
];
const client = (token: string) =>
  createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

const body = new FormData();
body.append("files", new Blob([await readFile(file)]), "image.dcm");
body.append("department", department);
const sent = await client(sender).POST("/api/v1/submissions/", {
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { department },
  bodySerializer: () => body,
});
if (sent.error) throw new Error(`${sent.error.code}: ${sent.error.action}`);
const verdict = sent.data.files[0];
if (!verdict?.study) throw new Error(verdict?.message ?? "no verdict");

const waiting: Classification["status"][] = ["queued", "running"];
let result: Classification | undefined;
for (let tries = 0; tries < 120; tries += 1) {
  const page = await client(sender).GET("/api/v1/classifications/", {
    params: { query: { study: verdict.study } },
  });
  if (page.error) throw new Error(page.error.detail);
  result = page.data.results[0];
  if (result && !waiting.includes(result.status)) break;
  await new Promise((resolve) => setTimeout(resolve, 500));
}
if (!result) throw new Error("no result");

const signed = await client(reviewer).POST("/api/v1/classifications/{id}/reviews/", {
  params: { path: { id: result.id } },
  body: { decision: "uninterpretable", reason: "image_quality" },
});
if (signed.error) throw new Error(`${signed.error.code}: ${signed.error.action}`);

const seen = await client(reviewer).GET("/api/v1/classifications/{id}/", {
  params: { path: { id: result.id } },
});
if (seen.error) throw new Error(seen.error.detail);
console.log(JSON.stringify({
  status: seen.data.status,
  probabilities: seen.data.probabilities,
  decision: seen.data.review?.decision,
  by: seen.data.conclusion?.by,
  study: seen.data.study,
}));
