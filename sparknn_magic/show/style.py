"""The looks of the report and of the notebook's summary: plain CSS, light and dark."""

REPORT = """
:root {
  color-scheme: light dark;
  --page: #f6f8fa; --card: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --faint: #eef1f4;
  --hit: 0, 114, 178; --miss: 213, 94, 0; --accent: #0072b2; --warn: #b54e00;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --card: #151b23; --ink: #e6edf3; --soft: #9198a1; --line: #2f3740; --faint: #1c232c;
    --hit: 86, 180, 233; --miss: 230, 159, 0; --accent: #56b4e9; --warn: #e69f00;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 var(--sans); }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
header { margin-bottom: 24px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 17px; line-height: 1.3; margin: 0 0 12px; letter-spacing: -0.005em; }
h3 { font-size: 13px; font-weight: 600; color: var(--soft); margin: 20px 0 8px; }
p { margin: 0 0 14px; } p:last-child { margin-bottom: 0; }
.soft { color: var(--soft); } .note { color: var(--soft); font-size: 13.5px; margin-bottom: 16px; }
h2 + .note { margin-top: -8px; }
a { color: var(--accent); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 22px 24px 24px;
  margin-bottom: 20px; min-width: 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 1px; margin-bottom: 20px; background: var(--line);
  border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.rest { flex: 3 1 560px; display: flex; flex-wrap: wrap; gap: 1px; min-width: 0; }
.rest .tile { flex: 1 1 160px; }
.tile { background: var(--card); padding: 16px 18px 15px; }
.tile b { display: block; font-size: 25px; line-height: 1.2; font-weight: 620; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile span { display: block; font-size: 13px; color: var(--soft); }
.tile .name { font-size: 13px; color: var(--soft); margin-bottom: 2px; }
.lead { flex: 1 1 300px; padding: 22px 24px; } .lead b { font-size: 44px; color: var(--accent); }
.lead .meter { margin: 14px 0 12px; }
.meter { position: relative; height: 6px; border-radius: 3px; background: var(--faint); margin: 8px 0 7px; }
.meter i { position: absolute; inset: 0 auto 0 0; border-radius: 3px; background: var(--accent); }
.meter u { position: absolute; top: -3px; bottom: -3px; width: 2px; background: var(--ink); }
picture img { display: block; width: 100%; height: auto; }
.two { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 20px; }
.scroll { overflow: auto; max-height: 620px; } .across { overflow-x: auto; max-width: 100%; }
.split { display: flex; flex-wrap: wrap; gap: 24px 44px; align-items: flex-start; }
.split > picture { flex: 2 1 520px; } .pairs { flex: 1 1 270px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.list { width: 100%; }
.list th, .list td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  font-size: 14px; vertical-align: top; overflow-wrap: anywhere; }
.list thead th { font-size: 12.5px; font-weight: 600; color: var(--soft); white-space: nowrap;
  position: sticky; top: 0; background: var(--card); z-index: 1; }
.list tbody tr:last-child > * { border-bottom: 0; }
.list .num { text-align: right; padding-right: 0; padding-left: 16px; white-space: nowrap; overflow-wrap: normal; }
.list .num + :not(.num) { padding-left: 24px; }
.list tfoot td { border-top: 1px solid var(--line); border-bottom: 0; color: var(--soft); }
.list th[scope=row] { font-weight: 500; }
.facts th[scope=row] { color: var(--soft); font-weight: 400; width: 168px; }
.bar { width: 32%; min-width: 80px; padding-left: 20px !important; vertical-align: middle !important; }
.bar div { height: 8px; border-radius: 4px; background: var(--faint); }
.bar i { display: block; height: 8px; border-radius: 4px; background: var(--accent); }
.matrix { font-size: 13px; }
.matrix td { width: 50px; min-width: 40px; height: 38px; padding: 0 3px; text-align: center;
  border: 1px solid var(--line); }
.matrix th { font-weight: 450; font-size: 13px; }
.matrix tbody th { text-align: right; padding: 0 10px 0 4px; white-space: nowrap; }
.matrix thead th { vertical-align: bottom; padding: 4px 0 8px; }
.matrix thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.matrix .axis { color: var(--soft); font-size: 12.5px; font-weight: 400; text-align: center; padding-bottom: 10px; }
.matrix .side { padding: 0 4px 0 0; } .matrix .side span { writing-mode: vertical-rl; transform: rotate(180deg); }
.matrix .zero { color: transparent; }
.matrix .deep { color: var(--card); font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(108px, 1fr)); gap: 16px 14px; }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--faint);
  border: 1px solid var(--line); border-radius: 6px; }
figure img.small { image-rendering: pixelated; }
figure.miss img { border: 2px dashed var(--warn); }
figcaption { font-size: 13px; line-height: 1.35; padding-top: 6px; overflow-wrap: anywhere; }
figcaption > * { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
figcaption b { font-weight: 560; }
figcaption span { color: var(--soft); font-variant-numeric: tabular-nums; } figure.miss b { color: var(--warn); }
pre { margin: 0; font: 13px/1.55 var(--mono); background: var(--faint); border-radius: 8px; padding: 14px 16px;
  overflow: auto; white-space: pre; tab-size: 2; }
code { font: 0.92em var(--mono); }
footer { color: var(--soft); font-size: 13px; text-align: center; padding-top: 8px; }
@media (max-width: 760px) {
  main { padding: 24px 14px 40px; } section { padding: 18px 16px; } .two { grid-template-columns: minmax(0, 1fr); }
  .facts th[scope=row] { width: 120px; } .bar { display: none; }
}
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } .scroll { max-height: none; } }
"""

# In a notebook the page's colours are the notebook's own, whatever its theme: lines and grounds are see-through greys.
NOTEBOOK = """
.sparknn { font-size: 14px; line-height: 1.45; color: inherit; max-width: 900px; }
.sparknn * { box-sizing: border-box; }
.sparknn .title { font-size: 17px; font-weight: 650; margin: 2px 0; overflow-wrap: anywhere; }
.sparknn .soft { opacity: 0.7; }
.sparknn .tiles { display: flex; flex-wrap: wrap; margin: 10px 0 12px;
  border: 1px solid rgba(128, 128, 128, 0.35); border-radius: 8px; overflow: hidden; }
.sparknn .tile { flex: 1 1 150px; padding: 9px 13px; box-shadow: 1px 1px 0 rgba(128, 128, 128, 0.25); }
.sparknn .tile b { display: block; font-size: 18px; font-weight: 620; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.sparknn .tile span { display: block; font-size: 12px; opacity: 0.7; }
.sparknn table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0 0 8px; background: none;
  font-size: 13.5px; table-layout: auto; }
.sparknn tbody tr:nth-child(n) { background: none; }
.sparknn.sparknn th, .sparknn.sparknn td { text-align: left; padding: 4px 18px 4px 0; border: 0; background: none;
  vertical-align: top;
  border-bottom: 1px solid rgba(128, 128, 128, 0.22); overflow-wrap: anywhere; white-space: normal; }
.sparknn.sparknn th { font-weight: 500; white-space: nowrap; }
.sparknn thead th { opacity: 0.7; font-size: 12.5px; }
.sparknn .facts th { opacity: 0.7; font-weight: 400; }
.sparknn.sparknn .num { text-align: right; white-space: nowrap; }
.sparknn details { margin: 4px 0; }
.sparknn summary { cursor: pointer; font-weight: 560; padding: 3px 0; }
.sparknn code { font-size: 0.92em; background: rgba(128, 128, 128, 0.14); padding: 1px 4px; border-radius: 4px; }
.sparknn.sparknn th code { white-space: nowrap; }
.sparknn .failed { color: #b54e00; }
@media (prefers-color-scheme: dark) { .sparknn .failed { color: #e69f00; } }
body[data-jp-theme-light="true"] .sparknn .failed { color: #b54e00; }
body[data-jp-theme-light="false"] .sparknn .failed { color: #e69f00; }
"""
