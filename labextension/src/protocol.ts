/**
 * What the kernel and a panel say to each other.
 *
 * `nbflow/session/wire.py` is the other half: change both together. Every text
 * was cut to size and made safe for display in Python; nothing here is markup.
 * Times are milliseconds since 1970-01-01 UTC.
 */

export const VERSION = 1;
export const RUN_MIME = 'application/vnd.nbflow.run.v1+json';

export type RunStatus =
  'running' | 'interrupted' | 'failed' | 'cancelled' | 'finished' | 'superseded';

export type CallStatus =
  | 'waiting' // called, no free place yet
  | 'running'
  | 'finished'
  | 'failed'
  | 'interrupted' // asks a person
  | 'dropped' // queued when the run ended: not run
  | 'cancelled';

/** One task call: a row of the timeline. */
export interface Call {
  id: string;
  /** Id of the call that called it; '' for the workflow's own body. */
  parent: string;
  name: string;
  args: string;
  status: CallStatus;
  called_at: number;
  /** When its body began; null while it waits. */
  started_at: number | null;
  ended_at: number | null;
  attempts: number;
  cached: boolean;
  /** Its outcome was taken from the log in a continued run. */
  replayed: boolean;
  /** In a continued run, why it ran again: 'code', 'arguments', 'failed', 'unfinished', 'answered', 'new', 'replay' or ''; in a fork 'kept' or 'replaced'. */
  why: string;
  /** Short text of its result, '' while there is none. */
  result: string;
  /** Short text of its failure, '' where there is none. */
  error: string;
}

/** One item of the live stream. */
export interface StreamItem {
  /** Position in the run's stream, from 0; items may have been left out before it. */
  n: number;
  at: number;
  /** Name of the task that wrote it; '' for the body. */
  source: string;
  text: string;
}

export interface Field {
  [key: string]: unknown;
}

interface QuestionBase {
  id: string;
  /** Name of the task that asks; '' for the body. */
  source: string;
  asked_at: number;
  /** The question's text, plain. */
  text: string;
  /** A longer text above the form, plain; may be ''. */
  description: string;
  /** An answer was sent and is being used, or waits for its workflow's cell. */
  answered: boolean;
  /** What a person has to do before the run can go on; '' if nothing. */
  note: string;
  /** The code that answers it, for "Copy as code". */
  code: string;
}

/** `{"question", "tool_call": {"name", "args", "id"}}`: answered `{"action", "data"}`. */
export interface ToolCallQuestion extends QuestionBase {
  kind: 'tool_call';
  tool: string;
  /** The proposed arguments, in full: JSON values only. */
  args: { [key: string]: unknown };
  /** The same as JSON text, where a page's numbers can't hold them: 3.0, or more than 53 bits. */
  args_json?: string;
  /** JSON Schema of the arguments; made from `args` where the tool gives none. */
  schema: Field;
  /** Arguments that are not an object, or can't be shown: they can't be accepted or edited. */
  malformed: string;
  allow: ('accept' | 'edit' | 'respond' | 'ignore')[];
}

/** A plain question: any text is its answer. */
export interface TextQuestion extends QuestionBase {
  kind: 'text';
}

/** A question with a few answers: one button each. */
export interface ChoiceQuestion extends QuestionBase {
  kind: 'choice';
  choices: { label: string; value: unknown }[];
}

/** A question with a `response_schema`. */
export interface SchemaQuestion extends QuestionBase {
  kind: 'schema';
  schema: Field;
}

export type Question = ToolCallQuestion | TextQuestion | ChoiceQuestion | SchemaQuestion;

export interface Counts {
  calls: number;
  waiting: number;
  running: number;
  finished: number;
  failed: number;
  interrupted: number;
  dropped: number;
  replayed: number;
  cached: number;
}

/** Everything but the calls and the stream: sent whole each time it changes. */
export interface Header {
  workflow: string;
  thread_id: string;
  run_id: string;
  status: RunStatus;
  started_at: number;
  /** When the present stretch of work began: a run may go on after days. */
  resumed_at: number;
  ended_at: number | null;
  /** The kernel's clock when this was made: elapsed time is counted from it. */
  now: number;
  /** The kernel is at work on this run; false: it is a picture from the store. */
  live: boolean;
  counts: Counts;
  /** How many items the stream has had in all, and how many were left out here. */
  stream_total: number;
  stream_cut: number;
  questions: Question[];
  /** Short text of the result; null while there is none. */
  result: string | null;
  /** The failure: its text and the user's lines of the traceback; null if none. */
  error: { text: string; trace: string } | null;
  /** Where the history is, and notes for a person, plain text. */
  store: string;
  notes: string[];
  /** Code a person could run instead of pressing: name -> Python. */
  code: { [name: string]: string };
}

/** The whole picture: what `RUN_MIME` holds, and what a panel gets when it opens. */
export interface RunView extends Header {
  v: typeof VERSION;
  calls: Call[];
  stream: StreamItem[];
}

/** kernel -> panel */
export type Down =
  | { type: 'view'; view: RunView }
  /** `calls`: changed or new rows, whole; new ones stand at the end. `stream`: new items. */
  | { type: 'patch'; header: Header; calls: Call[]; stream: StreamItem[] }
  /** An answer or a command was refused; `field` is the path of a field or ''. */
  | { type: 'refused'; id: string; problems: { field: string; text: string }[] };

/** panel -> kernel */
export type Up =
  | { type: 'open' }
  /** `json`: the answer as JSON text, its numbers as they were typed (3 and 3.0 differ). */
  | { type: 'answer'; id: string; answer: unknown; json: string }
  | { type: 'stop' }
  | { type: 'continue' };
