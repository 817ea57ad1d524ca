/** The buttons of a form, and where its answer stands. */

import type { ComponentChildren, JSX } from 'preact';

import { Icon } from '../icons';
import { useWords } from '../words';
import type { Answering } from './answering';

export function SendRow({
  answering,
  children,
}: {
  answering: Answering;
  children: ComponentChildren;
}): JSX.Element {
  const trans = useWords();
  return (
    <div class="nbf-send-row">
      {children}
      <span class="nbf-sent" role="status">
        {answering.state === 'sent' && (
          <>
            <Icon name="running" />
            {trans.__('Sent')}
          </>
        )}
      </span>
    </div>
  );
}
