/**
 * Builds the two halves of the front end.
 *
 *   node scripts/build.mjs widget   -> ../nbflow/static/        (loader.js, widget.js, widget.css)
 *   node scripts/build.mjs lab      -> ../nbflow/labextension/  (a prebuilt extension)
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
const STATIC = join(HERE, '..', 'nbflow', 'static');
const LAB = join(HERE, '..', 'nbflow', 'labextension');
const LIB = join(HERE, 'lib');

/** What the widget's bundle is made of: two builds of the same sources share one bundle in a page. */
function sourceHash() {
  const files = ['view', 'widget']
    .flatMap((folder) =>
      readdirSync(join(HERE, 'src', folder), { recursive: true }).map((name) =>
        join('src', folder, name),
      ),
    )
    .filter((name) => statSync(join(HERE, name)).isFile())
    .concat(['src/model.ts', 'src/kernel.ts', 'src/protocol.ts', 'package-lock.json'])
    .sort();
  const hash = createHash('sha256');
  for (const name of files) hash.update(readFileSync(join(HERE, name)));
  return hash.digest('hex').slice(0, 16);
}

const common = {
  absWorkingDir: HERE,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  logLevel: 'warning',
  define: { __HASH__: JSON.stringify(sourceHash()) },
};

function emptied(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

/** The licences of what is inside a bundle, as JupyterLab lists them. */
function writeLicenses(metafile, file) {
  const names = Object.keys(metafile.inputs).flatMap(
    (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  );
  const packages = [...new Set(names)].sort().map((name) => {
    const folder = join(HERE, 'node_modules', name);
    const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const text = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (text === undefined) throw new Error(`The package ${name} has no licence text to pass on.`);
    return {
      name,
      versionInfo: about.version,
      licenseId: about.license,
      extractedText: readFileSync(join(folder, text), 'utf8'),
    };
  });
  writeFileSync(file, `${JSON.stringify({ packages }, null, 2)}\n`);
}

async function widget() {
  emptied(STATIC);
  const made = await build({
    ...common,
    entryPoints: { loader: 'src/widget/loader.ts', widget: 'src/widget/index.tsx' },
    outdir: STATIC,
    metafile: true,
  });
  writeLicenses(made.metafile, join(STATIC, 'third-party-licenses.json'));
  await build({ ...common, entryPoints: { widget: 'src/view/style.css' }, outdir: STATIC });
}

/** esbuild makes the modules; the builder only wraps them for JupyterLab's module federation. */
async function lab() {
  emptied(LIB);
  const made = await build({
    ...common,
    entryPoints: { index: 'src/index.ts' },
    outdir: LIB,
    metafile: true,
    splitting: true,
    loader: { '.css': 'text' },
    plugins: [minifiedCss],
    external: ['@jupyterlab/*', '@lumino/*'],
  });
  const { resolve } = createRequire(import.meta.url);
  const builder = join(
    dirname(resolve('@jupyter/builder/package.json')),
    'lib',
    'build-labextension.js',
  );
  const core = join(dirname(resolve('@jupyterlab/core-meta/package.json')), 'core.package.json');
  const done = spawnSync(process.execPath, [builder, '--core-package-file', core, HERE], {
    cwd: HERE,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (done.status !== 0 || !existsSync(join(LAB, 'package.json'))) {
    process.stderr.write(done.stdout);
    throw new Error(`@jupyter/builder failed with status ${done.status}.`);
  }
  writeLicenses(made.metafile, join(LAB, 'static', 'third-party-licenses.json'));
}

const minifiedCss = {
  name: 'minified-css',
  setup(one) {
    one.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const made = await build({ ...common, entryPoints: [path], write: false });
      return { contents: made.outputFiles[0].text, loader: 'text' };
    });
  },
};

const BUILDS = { widget, lab };

for (const name of process.argv.slice(2)) {
  if (!Object.hasOwn(BUILDS, name))
    throw new Error(`There is no build ${JSON.stringify(name)}: choose widget or lab.`);
  await BUILDS[name]();
}
