const data = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);
const unique = (items) => [...new Set(items)];

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const headRow = (names) => make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));

function fill(select, values, all) {
  const chosen = select.value;
  select.replaceChildren(...(all ? [make("option", { value: "" }, all)] : []), ...values.map((value) => {
    const [key, name] = Array.isArray(value) ? value : [value, value];
    return make("option", { value: key }, name);
  }));
  if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
}
