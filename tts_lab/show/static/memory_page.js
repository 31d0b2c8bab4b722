// Says below the picture what was held under the pointer. The page is complete without it.
const data = document.getElementById("data");
if (data) {
  const { points, left, width } = JSON.parse(data.textContent);
  const picture = document.getElementById("run");
  const line = document.getElementById("at");
  const mib = (size) => (size / 2 ** 20).toFixed(1) + " MiB";
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const position = ((x - left) / (width - left)) * points[points.length - 1][0];
    const after = points.findIndex((point) => point[0] > position);
    const [at, stage, allocated, reserved, kinds] = points[Math.max(0, (after < 0 ? points.length : after) - 1)];
    const parts = Object.entries(kinds).map(([kind, size]) => `${kind} ${mib(size)}`);
    line.textContent =
      `${stage || "between stages"}, event ${at}: ${mib(allocated)} allocated, ${mib(reserved)} reserved; ${parts.join(", ")}`;
  });
}
