/** Writes a page of made-up runs to a folder: node dev/serve.mjs FOLDER */

import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const folder = process.argv[2];
if (folder === undefined) throw new Error('Name the folder that the page is written to.');
const here = dirname(dirname(fileURLToPath(import.meta.url)));

await build({
  absWorkingDir: here,
  entryPoints: ['dev/page.tsx'],
  outfile: join(folder, 'page.js'),
  bundle: true,
  format: 'esm',
  loader: { '.css': 'text' },
});

/** JupyterLab's own colours, light and dark. */
const THEMES = `
  :root { --jp-ui-font-color1: rgba(0,0,0,.87); --jp-layout-color0: #fff; --jp-border-color2: #e0e0e0;
    --jp-brand-color1: #1976d2; --jp-ui-inverse-font-color0: #fff; --jp-success-color1: #388e3c;
    --jp-error-color1: #d32f2f; --jp-warn-color1: #f57c00; --jp-input-background: #f5f5f5;
    --jp-mirror-editor-number-color: #080; --jp-mirror-editor-keyword-color: green;
    --jp-ui-font-size0: .83333em; --jp-ui-font-size1: 13px; --jp-content-font-size1: 14px;
    --jp-ui-font-family: system-ui, sans-serif; --jp-code-font-family: menlo, consolas, 'DejaVu Sans Mono', monospace; }
  .dark { --jp-ui-font-color1: rgba(255,255,255,.87); --jp-layout-color0: #111; --jp-border-color2: #424242;
    --jp-brand-color1: #2196f3; --jp-ui-inverse-font-color0: #000; --jp-success-color1: #4caf50;
    --jp-error-color1: #f44336; --jp-warn-color1: #ff9800; --jp-input-background: #424242;
    --jp-mirror-editor-number-color: #66bb6a; --jp-mirror-editor-keyword-color: #4caf50; }
  body { margin: 0; padding: 8px; background: var(--jp-layout-color0); }`;

writeFileSync(
  join(folder, 'index.html'),
  `<!doctype html><meta charset="utf-8"><title>Panels</title><style>${THEMES}</style>
<body><div id="home"></div>
<script>document.body.className = new URLSearchParams(location.search).get('theme') ?? '';</script>
<script type="module" src="page.js"></script>`,
);
