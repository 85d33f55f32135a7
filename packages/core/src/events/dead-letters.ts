import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Actor, RecordDraft } from '../ledger/ledger-record.ts';
import type { DeadLetter } from './event.ts';

const actor: Actor = { kind: 'system', id: 'events', agent: null, model: null, session: null, onBehalfOf: null };

/** The record of an event that a handler did not take, on the home's own stream: the task may be gone by then. */
export function deadLetterRecord({ subscription, event, attempts, error }: DeadLetter): RecordDraft {
  const { stream, seq, type, correlationId } = event;
  const { code, message } = asOpencodeToolsError(error);
  return {
    stream: 'home',
    type: 'event.dead_lettered',
    actor,
    puts: [],
    detail: { subscription, stream, seq, type, attempts, code, message },
    correlationId,
    causationId: `${stream}/${seq}`,
  };
}
