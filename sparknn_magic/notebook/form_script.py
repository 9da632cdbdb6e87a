"""How a form writes a cell below itself: by a script, which JupyterLab runs in the page that the notebook is in.

The message that carries a new cell to the frontend (`set_next_input`) goes with the reply to a cell that was run. A
click has no such reply: what is set then appears with the next cell that somebody runs. But JupyterLab's notebooks take
cells that are dropped on them, from whatever part of the page: the events of its drag and drop are events of the page's
elements, with cells of the notebook format under the type `application/vnd.jupyter.cells`. The script drops one.
Where the page has no such notebook (VS Code, Colab), nothing happens, and nothing is told to have happened.
"""

import json

from sparknn_magic.show.markup import Markup, el

_SCRIPT = """\
(() => {
  const TYPE = "application/vnd.jupyter.cells";
  const {text, form, done} = %s;
  const cell = [...document.querySelectorAll("." + form)]
    .map(each => each.closest(".jp-Notebook .jp-Cell")).find(Boolean);
  if (!cell) return;
  // Dropped on a cell, new ones come before it; on the notebook itself, behind the last.
  const after = cell.nextElementSibling;
  const target = after && after.classList.contains("jp-Cell") ? after : cell.closest(".jp-Notebook");
  const cells = [{cell_type: "code", source: text, metadata: {}, outputs: [], execution_count: null}];
  const mimeData = {types: () => [TYPE], hasData: type => type === TYPE, getData: type => type === TYPE ? cells : null};
  const drag = name => {
    const event = new CustomEvent(name, {bubbles: true, cancelable: true});
    const copy = {proposedAction: "copy", supportedActions: "copy", dropAction: "none"};
    Object.assign(event, {mimeData, source: null, ...copy});
    target.dispatchEvent(event);
    return event.defaultPrevented && event.dropAction === "copy";
  };
  if (!drag("lm-dragover") || !drag("lm-drop")) return;
  for (const button of document.querySelectorAll("." + done)) button.click();
  const edit = tries => {
    const made = cell.nextElementSibling;
    const editor = made && made !== after && made.querySelector(".cm-content");
    if (editor) editor.focus();
    else if (tries > 0) setTimeout(() => edit(tries - 1), 100);
  };
  edit(30);
})();
"""


def writing(text: str, form: str, done: str) -> str:
    """Return HTML that writes a cell of this text below the cell where the form is.

    `form` is a CSS class of the form, `done` that of a button in it, which is clicked when the notebook has taken it.
    """
    said = json.dumps({"text": text, "form": form, "done": done})
    # Within a script element only these begin what HTML would read.
    for sign in "<>&":
        said = said.replace(sign, f"\\u{ord(sign):04x}")
    return str(el("script", Markup(_SCRIPT % said)))
