// Shows this server's own OpenAPI document; requests tried here go out as the signed-in person.
const root = document.getElementById("swagger-ui");

window.SwaggerUIBundle({
  domNode: root,
  url: root.dataset.schema,
  deepLinking: true,
  requestInterceptor: (request) => {
    request.headers["X-CSRFToken"] = root.dataset.csrf;
    return request;
  },
});
