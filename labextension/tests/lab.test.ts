import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { SAMPLES } from '../dev/sample';
import extension from '../src/index';
import { RUN_MIME } from '../src/protocol';

const WIDGET_MIME = 'application/vnd.jupyter.widget-view+json';

type Renderer = IRenderMime.IRenderer & Widget;
type Model = IRenderMime.IMimeModel;

/** An output area whose notebook draws widgets as `view` does. */
class Output extends Panel {
  readonly asked: string[] = [];
  readonly #view: (node: HTMLElement) => void;

  constructor(view: (node: HTMLElement) => void) {
    super();
    this.#view = view;
    Widget.attach(this, document.body);
  }

  readonly rendermime = {
    mimeTypes: [WIDGET_MIME],
    createRenderer: (mime: string): Renderer => {
      this.asked.push(mime);
      const view = this.#view;
      const widget = new Widget();
      return Object.assign(widget, { renderModel: async () => view(widget.node) });
    },
  };
}

const found = (node: HTMLElement): void => void node.append(document.createElement('article'));
const missing = (node: HTMLElement): void => {
  node.textContent = 'Error displaying widget: model not found';
};

function model(data: unknown, over: { trusted?: boolean; id?: string } = {}): Model {
  const { trusted = true, id } = over;
  const widget = id === undefined ? {} : { [WIDGET_MIME]: { model_id: id } };
  return {
    trusted,
    data: { [RUN_MIME]: data, ...widget },
    metadata: {},
    setData: () => undefined,
  } as unknown as Model;
}

function renderer(): Renderer {
  const options = { mimeType: RUN_MIME } as IRenderMime.IRendererOptions;
  return extension.rendererFactory.createRenderer(options) as Renderer;
}

const interrupted = (): unknown => JSON.parse(JSON.stringify(SAMPLES['interrupted']?.()));
const shows = (node: HTMLElement, selector: string): boolean => {
  const element = node.querySelector(selector);
  return element !== null && element.closest('.lm-mod-hidden') === null;
};

let drawn: Renderer[] = [];
beforeEach(() => {
  drawn = [];
});
afterEach(() => {
  for (const one of drawn) one.dispose();
  document.body.replaceChildren();
});

async function draw(output: Output, made: Model): Promise<Renderer> {
  const one = renderer();
  drawn.push(one);
  await one.renderModel(made);
  output.addWidget(one);
  await new Promise((resolve) => setTimeout(resolve));
  return one;
}

test('it draws runs, before the widget’s own renderer, and in notebooks that are not trusted', () => {
  expect(extension.rendererFactory.mimeTypes).toEqual([RUN_MIME]);
  expect(extension.rank).toBeLessThan(-10);
  expect(extension.rendererFactory.safe).toBe(true);
});

test('a kept run is drawn in full, to read', async () => {
  const { node } = await draw(new Output(missing), model(interrupted()));

  expect(shows(node, '[aria-label="Workflow run review_penguins"]')).toBe(true);
  expect([...node.querySelectorAll('button')].map((button) => button.textContent)).not.toContain(
    'Accept',
  );
});

test('where its widget is alive, the widget is drawn instead', async () => {
  const { node } = await draw(new Output(found), model(interrupted(), { id: 'w1' }));

  expect(shows(node, 'article')).toBe(true);
  expect(node.querySelector('.nbf-panel')).toBeNull();
});

test('where its widget is gone, the kept run stands, not an error', async () => {
  const { node } = await draw(new Output(missing), model(interrupted(), { id: 'w1' }));

  expect(shows(node, '.nbf-panel')).toBe(true);
  expect(
    [...node.children]
      .filter((child) => !child.classList.contains('lm-mod-hidden'))
      .map((child) => child.textContent)
      .join(''),
  ).not.toMatch(/model not found/);
});

test('a widget that comes later takes its place', async () => {
  let late: HTMLElement | null = null;
  const { node } = await draw(
    new Output((home) => {
      late = home;
    }),
    model(interrupted(), { id: 'w1' }),
  );
  const before = shows(node, '.nbf-panel');

  found(late as unknown as HTMLElement);
  await vi.waitFor(() => expect(shows(node, 'article')).toBe(true));

  expect(before).toBe(true);
  expect(node.querySelector('.nbf-panel')).toBeNull();
});

test('a run that ended gives up its widget', async () => {
  const one = await draw(new Output(found), model(interrupted(), { id: 'w1' }));

  await one.renderModel(model(SAMPLES['finished']?.()));

  expect(shows(one.node, '.nbf-panel')).toBe(true);
  expect(one.node.querySelector('article')).toBeNull();
});

test('a notebook that is not trusted runs no widget', async () => {
  const output = new Output(found);

  await draw(output, model(interrupted(), { id: 'w1', trusted: false }));

  expect(output.asked).toEqual([]);
});

test('a run of another version, or what is no run, is said to be so', async () => {
  for (const data of [{ ...(interrupted() as object), v: 99 }, null, 'text', { v: 1 }]) {
    const { node } = await draw(new Output(missing), model(data));
    expect(node.textContent).toMatch(/another version/);
  }
});

test('a removed output leaves nothing behind', async () => {
  const output = new Output(found);
  const one = await draw(output, model(interrupted(), { id: 'w1' }));

  one.dispose();

  expect(output.widgets).toHaveLength(0);
  expect(one.node.querySelector('article, .nbf-panel')).toBeNull();
});

test('a widget leaves the page at once, and is ended when nothing of it can be late', async () => {
  const output = new Output(found);
  const one = await draw(output, model(interrupted(), { id: 'w1' }));
  const widget = (one as unknown as Panel).widgets.at(-1);
  vi.useFakeTimers();

  await one.renderModel(model(interrupted()));
  const left = { isAttached: widget?.isAttached, isDisposed: widget?.isDisposed };
  vi.runAllTimers();
  vi.useRealTimers();

  expect(left).toEqual({ isAttached: false, isDisposed: false });
  expect(widget?.isDisposed).toBe(true);
});
