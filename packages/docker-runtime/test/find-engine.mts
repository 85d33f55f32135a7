import { rmSync } from 'node:fs';
import { Engine } from '../src/engine/engine.ts';

/**
 * Looks for an engine, says which it found, removes the socket by which it did, and begins again until there is none.
 *
 * argv: variables as JSON.
 */
const environment = JSON.parse(process.argv[2] ?? '') as Readonly<Record<string, string>>;
const found: string[] = [];
for (;;) {
  try {
    const { endpoint } = await new Engine(environment).find();
    found.push(endpoint.origin);
    rmSync(endpoint.url.replace('unix://', ''));
  } catch (error) {
    process.stdout.write(JSON.stringify({ found, failure: (error as Error).message }));
    break;
  }
}
