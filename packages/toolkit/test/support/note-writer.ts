import { isOpencodeToolsError, parseId } from '@opencode-tools/core';
import { openHome } from '../../src/index.ts';
import { callBy } from './home-without-engine.ts';

/** A process of its own: adds so many notes to a task of a home, then ends. */
const [directory = '', task = '', name = '', count = '0'] = process.argv.slice(2);
const home = await openHome({ home: directory, cwd: directory, environment: {} });
const taskId = parseId('task', task);
const { session } = await home.services.sessions.attach(taskId, { agent: name }, callBy(name));
for (let index = 0; index < Number(count);) {
  try {
    await home.services.journal.addNote(taskId, { text: `${name} ${index}`, sessionId: session.id }, callBy(name));
    index += 1;
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_STORE_UNAVAILABLE')) throw error;
  }
}
await home.close();
