/** The words of each state, one place for all views. */

import type { Call, CallStatus, Line, RunStatus } from './types';
import type { Words } from './words';

export function runWord(status: RunStatus, trans: Words): string {
  switch (status) {
    case 'running':
      return trans.__('Running');
    case 'interrupted':
      return trans.__('Interrupted');
    case 'failed':
      return trans.__('Failed');
    case 'cancelled':
      return trans.__('Cancelled');
    case 'finished':
      return trans.__('Finished');
    case 'superseded':
      return trans.__('Superseded');
  }
}

export function callWord(status: CallStatus, trans: Words): string {
  switch (status) {
    case 'waiting':
      return trans.__('waiting');
    case 'running':
      return trans.__('running');
    case 'finished':
      return trans.__('finished');
    case 'failed':
      return trans.__('failed');
    case 'interrupted':
      return trans.__('asks');
    case 'dropped':
      return trans.__('not run');
    case 'cancelled':
      return trans.__('cancelled');
  }
}

export interface Badge {
  kind: 'kept' | 'again' | 'note';
  text: string;
}

/** What sets a call apart: where its outcome came from, or why it ran. */
export function badgesOf(call: Call, trans: Words): Badge[] {
  const badges: Badge[] = [];
  if (call.cached) badges.push({ kind: 'kept', text: trans.__('cached') });
  else if (call.replayed) badges.push({ kind: 'kept', text: trans.__('replayed') });
  const why = whyOf(call.why, trans);
  if (why !== '' && (!call.replayed || call.why === 'replaced'))
    badges.push({ kind: kindOf(call.why), text: why });
  if (call.attempts > 1) {
    badges.push({ kind: 'note', text: trans._n('%1 attempt', '%1 attempts', call.attempts) });
  }
  return badges;
}

function kindOf(why: string): Badge['kind'] {
  if (why === 'new' || why === 'replaced') return 'note';
  return why === 'kept' ? 'kept' : 'again';
}

function whyOf(why: string, trans: Words): string {
  switch (why) {
    case '':
      return '';
    case 'code':
      return trans.__('ran again: code changed');
    case 'arguments':
      return trans.__('ran again: other arguments');
    case 'failed':
      return trans.__('ran again: it had failed');
    case 'unfinished':
      return trans.__('ran again: it was unfinished');
    case 'answered':
      return trans.__('ran again: answered');
    case 'new':
      return trans.__('new');
    case 'replay':
      return trans.__('ran again: as asked');
    case 'kept':
      return trans.__('kept by a fork');
    case 'replaced':
      return trans.__('replaced by a fork');
    default:
      return trans.__('ran again: %1', why);
  }
}

/** What a person should know of the line to the kernel; '' if all is well. */
export function lineWord(line: Line, trans: Words): string {
  switch (line) {
    case 'live':
    case 'stored':
      return '';
    case 'silent':
      return trans.__(
        'The kernel is busy. It will take what you send when the running cell ends; the notebook’s own stop button interrupts it.',
      );
    case 'gone':
      return trans.__(
        'The kernel that drew this is gone: this is the last picture. nbflow.show() draws the run again.',
      );
  }
}
