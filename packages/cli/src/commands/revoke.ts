import { type Session, shortId } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';

export const revoke: Command<{ readonly ended: readonly Session[] }> = {
  name: 'revoke',
  summary: 'end the leases of a task, whether or not their holders answer',
  notes: [
    'For an operator. The task stays as it is: what still runs is ended when the next agent attaches; `stop` ends it at once.',
  ],
  changes: 'home',
  parameters: [taskParameter],
  options: [
    { name: 'holder', value: text('agent'), summary: 'only those of this agent' },
    { name: 'reason', value: text('text'), summary: 'why, for the record' },
  ],
  async run({ input, services, call, task }) {
    const options = given({ agent: input.get<string>('holder'), reason: input.get<string>('reason') });
    return { ended: await services.sessions.revoke(await task(), options, call) };
  },
  json: ({ ended }) => ({ ended }),
  render({ ended }, style) {
    if (ended.length === 0) return style.dim('No lease to end.');
    return lines(
      ...ended.map(
        ({ id, agent }) => `${style.good('revoked')} the lease of ${oneLine(agent)} ${style.dim(shortId(id))}`,
      ),
    );
  },
};
