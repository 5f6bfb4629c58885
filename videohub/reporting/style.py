"""How a report's page looks: quiet type, two colours that stay apart for every eye, at night and on paper too.

Blue is what was measured, orange what was published. Both also differ in shape, so nothing hangs on colour alone.
"""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --wash: #f4f5f7; --ink: #1d2127; --quiet: #5a626d; --rule: #d8dce1; --grid: #e6e9ed;
  --measured: #0b5cab; --chance: #8fb8e0; --bounds: #d3e2f1; --published: #a84a00; --tolerance: #fae6d3;
  --good: #0a6b4f; --bad: #b0201b; --open: #7a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --wash: #1d2126; --ink: #e5e8ec; --quiet: #a2abb6; --rule: #363d46; --grid: #272d34;
    --measured: #7ab8f5; --chance: #34659a; --bounds: #22384f; --published: #f2a661; --tolerance: #3c2d1e;
    --good: #56c596; --bad: #ff8a80; --open: #e3bd55;
  }
}
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 50rem; padding: 3rem 1.5rem 5rem; line-height: 1.55; overflow-wrap: break-word;
  font: 1rem/1.55 "Segoe UI", "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif;
}
h1, h2, h3 { font-family: Charter, "Iowan Old Style", Georgia, "Liberation Serif", serif; font-weight: 600; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3.2rem 0 .8rem;
  padding-top: .9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .3rem; }
p { margin: .6rem 0; max-width: 42rem; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .875rem; }
code, pre, .mono { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .85em; }
.mono { overflow-wrap: anywhere; }
pre { background: var(--wash); padding: .8rem 1rem; border-radius: 3px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 1rem 0 1.4rem; }
figcaption { margin-top: .3rem; max-width: 42rem; }

.verdict { margin: 1.6rem 0; padding: .9rem 1.2rem 1rem; background: var(--wash); border-left: 4px solid var(--tone); }
.verdict strong { color: var(--tone); font-size: 1.15rem; }
.verdict p { margin: .35rem 0 0; }
.consistent { --tone: var(--good); } .inconsistent { --tone: var(--bad); } .insufficient { --tone: var(--open); }
.sign { vertical-align: -4px; margin-right: .35rem; fill: none; stroke: var(--tone); stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round; }

.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; line-height: 1.4;
  font-variant-numeric: tabular-nums lining-nums; }
table + table { margin-top: 1.2rem; }
caption { text-align: left; padding: .2rem 0 .5rem; }
th, td { text-align: left; vertical-align: baseline; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid var(--grid); }
th { font-weight: 600; }
thead th { border-bottom: 1px solid var(--rule); vertical-align: bottom; font-size: .85rem; color: var(--quiet); }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
.drawn { width: 30%; min-width: 4.5rem; vertical-align: top; }
.drawn svg { margin-top: .25em; }
thead .number { white-space: normal; }
.numbers { width: auto; } .numbers th { font-weight: 400; } .numbers .number { padding: .3rem 0 .3rem 2.5rem; }
.facts th { width: 11.5rem; font-weight: 400; color: var(--quiet); }
.facts td { overflow-wrap: anywhere; }
td.name { overflow-wrap: anywhere; min-width: 9.5rem; }
.pairs td.name { min-width: 8.2rem; }

svg { display: block; overflow: visible; }
.sign { display: inline-block; }
.picture { margin: .2rem 0; }
.grid { stroke: var(--grid); stroke-width: 1; }
.tick, .label { font-size: 12px; font-variant-numeric: tabular-nums; }
.tick { fill: var(--quiet); }
.label.published { fill: var(--published); } .label.measured { fill: var(--measured); }
rect.bounds, .bounds rect { fill: var(--bounds); } rect.chance, .chance rect { fill: var(--chance); }
rect.tolerance, .tolerance rect { fill: var(--tolerance); }
.published path { fill: var(--published); stroke: var(--paper); stroke-width: 1.5; }
.measured circle { fill: var(--measured); stroke: var(--paper); stroke-width: 1.5; }
.curve { stroke: var(--measured); stroke-width: 2; stroke-linecap: round; }
.dot { fill: var(--measured); stroke: var(--paper); stroke-width: 1.5; }
.reference { stroke: var(--published); stroke-width: 1.5; stroke-dasharray: 6 4; }
.bars { fill: var(--chance); }
.bar { width: 100%; } .rail { fill: var(--wash); } .filled { fill: var(--chance); }
.whisker { stroke: var(--measured); stroke-width: 1.5; }
.legend { list-style: none; margin: .4rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.3rem;
  font-size: .875rem; color: var(--quiet); }
.legend li { display: flex; align-items: center; gap: .45rem; }

.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 2.2rem; }
.pair .drawn { width: 26%; min-width: 3.2rem; }
.pair table { font-size: .875rem; }
details { margin: 1rem 0; } summary { cursor: pointer; color: var(--measured); padding: .3rem 0; }
footer { margin-top: 3.5rem; padding-top: .9rem; border-top: 1px solid var(--rule); }

@media (max-width: 40rem) {
  body { padding: 1.6rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .pair { grid-template-columns: 1fr; }
  .facts th, .facts td { display: block; width: auto; border-bottom: 0; padding: 0; }
  .facts tr { display: block; border-bottom: 1px solid var(--grid); padding: .35rem 0; }
  th, td { padding-right: .6rem; }
  .numbers .number { padding-left: .8rem; }
  .pairs .drawn { display: none; }
  .drawn { min-width: 3rem; width: 20%; }
}
@media print {
  :root {
    --paper: #ffffff; --wash: #f4f5f7; --ink: #000000; --quiet: #444444; --rule: #bbbbbb; --grid: #dddddd;
    --measured: #0b5cab; --chance: #8fb8e0; --bounds: #d3e2f1; --published: #a84a00; --tolerance: #fae6d3;
    --good: #0a6b4f; --bad: #b0201b; --open: #7a5a00;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3, caption { break-after: avoid; }
  tr, figure, .verdict { break-inside: avoid; }
  thead { display: table-header-group; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  details:not([open]) { display: none; }
}
"""
