/** What a panel is given, besides the picture of the run. */

export type {
  Call,
  CallStatus,
  ChoiceQuestion,
  Counts,
  Header,
  Question,
  RunStatus,
  RunView,
  SchemaQuestion,
  StreamItem,
  TextQuestion,
  ToolCallQuestion,
} from '../protocol';

/** A refused answer or command: what is wrong, and at which field. */
export interface Problem {
  field: string;
  text: string;
}

/** live: the kernel answers; silent: it hasn't for a while; gone: it can't; stored: there is none. */
export type Line = 'live' | 'silent' | 'gone' | 'stored';

/** What a person can do here. */
export interface Actions {
  /** `json` is the answer's JSON text, with its numbers as they were typed. */
  answer: (id: string, answer: unknown, json: string) => void;
  stop: () => void;
  goOn: () => void;
}
