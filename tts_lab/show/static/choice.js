// A choice of which some options are disabled, each with the reason. A native list: keyboard and screen readers know it.

function render({ model, el }) {
  const label = Object.assign(document.createElement("label"), { className: "tts-choose" });
  const name = document.createElement("span"), list = document.createElement("select"), why = document.createElement("span");
  why.className = "tts-why";
  label.append(name, list, why);
  el.append(label);

  function draw() {
    const [excluded, idle] = [model.get("excluded"), model.get("idle")];
    name.textContent = model.get("description");
    list.replaceChildren(...model.get("options").map((option) => {
      const made = new Option(excluded[option] ? `${option} (no effect)` : option, option);
      made.disabled = option in excluded && option !== model.get("value");
      made.title = excluded[option] ?? "";
      return made;
    }));
    list.value = model.get("value");
    list.disabled = idle !== "" || model.get("disabled");
    why.textContent = idle || (excluded[model.get("value")] ?? "");
    label.title = [idle, ...Object.entries(excluded).map(([option, reason]) => `${option}: ${reason}`)].filter(Boolean).join("\n");
  }

  list.addEventListener("change", () => { model.set("value", list.value); model.save_changes(); });
  for (const trait of ["options", "value", "excluded", "idle", "disabled", "description"]) model.on(`change:${trait}`, draw);
  draw();
  return () => { for (const trait of ["options", "value", "excluded", "idle", "disabled", "description"]) model.off(`change:${trait}`, draw); };
}

export default { render };
