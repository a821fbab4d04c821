// A set-password link has its secret behind the #, which browsers send to nobody: the form hands it over.

const form = document.getElementById("link-form");

const handOver = () => {
  const secret = location.hash.slice(1);
  if (!secret) return;
  history.replaceState(null, "", location.pathname);
  form.elements.link.value = secret;
  form.submit();
};

addEventListener("hashchange", handOver);
handOver();
