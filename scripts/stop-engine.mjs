/*
 * node scripts/stop-engine.mjs
 *
 * Stops the Docker Engine that `npm run demo` or `npm test` started from this checkout, and no other.
 */
import { stopEngine } from './lib/engine-process.mjs';
import { say } from './lib/process.mjs';

say(
  (await stopEngine()) ? 'The Docker Engine started from here is stopped.' : 'No engine started from here is running.',
);
