// Preloaded into a child process: collects the address of every module that is loaded, and hands them to the parent.
import { createRequire, registerHooks } from 'node:module';

const loaded = new Set();

registerHooks({
  load(url, context, nextLoad) {
    loaded.add(url);
    return nextLoad(url, context);
  },
});

process.on('exit', () => {
  process.stdout.write(JSON.stringify([...loaded, ...Object.keys(createRequire(import.meta.url).cache)]));
});
