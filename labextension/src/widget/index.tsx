/** The widget's bundle: panels on a wire, drawn into elements. */

import { render } from 'preact';

import { Session } from '../kernel';
import type { Up } from '../protocol';
import { App } from './app';
import type { Panel } from './bundle';
import { dress } from './dress';

export function open(send: (message: Up) => void, css: string): Panel {
  const session = new Session(send);
  let asked = false;
  return {
    receive: (message) => session.receive(message),
    lost: () => session.lost(),
    get listening() {
      return session.listening;
    },
    render(el) {
      dress(el, css);
      render(<App session={session} />, el);
      if (!asked || session.picture.view === null) session.send({ type: 'open' });
      asked = true;
      return () => render(null, el);
    },
    close: () => session.dispose(),
  };
}
