/** A session's picture as a panel: the only place where the line and the views meet. */

import type { JSX } from 'preact';
import { useLayoutEffect, useMemo, useState } from 'preact/hooks';

import type { Session } from '../kernel';
import { RunPanel } from '../view/panel';
import type { Actions } from '../view/types';
import { useWords } from '../view/words';

export function App({ session }: { session: Session }): JSX.Element {
  const trans = useWords();
  const [picture, setPicture] = useState(session.picture);
  useLayoutEffect(() => {
    setPicture(session.picture);
    return session.subscribe(() => setPicture(session.picture));
  }, [session]);
  const actions = useMemo(() => actionsOf(session), [session]);

  if (picture.view === null) {
    const words =
      picture.line === 'live'
        ? trans.__('Waiting for the kernel…')
        : trans.__('The kernel is busy or gone: nothing was heard of this run yet.');
    return (
      <p class="nbf-panel nbf-empty" role="status">
        {words}
      </p>
    );
  }
  return (
    <RunPanel
      view={picture.view}
      skew={picture.skew}
      line={picture.line}
      refusals={picture.refusals}
      actions={actions}
    />
  );
}

function actionsOf(session: Session): Actions {
  return {
    answer: (id, answer, json) => session.send({ type: 'answer', id, answer, json }),
    stop: () => session.send({ type: 'stop' }),
    goOn: () => session.send({ type: 'continue' }),
  };
}
