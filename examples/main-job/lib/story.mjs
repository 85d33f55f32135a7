/**
 * Collects what a run did and found. For people it prints each step as it ends; with `json` it prints nothing, and
 * `document` is the whole of it.
 */
export function createStory({ title, json }) {
  const steps = [];
  const checks = [];
  const facts = {};
  const startedAt = performance.now();
  const print = (line) => {
    if (!json) process.stdout.write(`${line}\n`);
  };
  print(`${title}\n`);

  /** Runs one step; `say` inside it adds lines below its heading. */
  async function step(heading, work) {
    const from = performance.now();
    const lines = [];
    const result = await work((line) => lines.push(line));
    const ms = Math.round(performance.now() - from);
    steps.push({ step: steps.length + 1, heading, ms });
    print(`${String(steps.length).padStart(2)}. ${heading.padEnd(82)} ${seconds(ms)}`);
    for (const line of lines) print(`      ${line}`);
    return result;
  }

  /** Records a check and stops the run when it does not hold. */
  function check(name, holds, seen) {
    checks.push({ name, ok: holds, ...(seen === undefined ? {} : { seen }) });
    if (!holds) throw new CheckFailed(name, seen);
  }

  function fact(name, value) {
    facts[name] = value;
    return value;
  }

  function document(failure) {
    const ok = failure === undefined && checks.every((each) => each.ok);
    const totalMs = Math.round(performance.now() - startedAt);
    return { ok, totalMs, steps, checks, facts, ...(failure === undefined ? {} : { failure }) };
  }

  return { step, check, fact, print, document };
}

/** A claim of the story that turned out not to be true. */
class CheckFailed extends Error {
  constructor(name, seen) {
    super(`Check failed: ${name}${seen === undefined ? '' : `\n  seen: ${JSON.stringify(seen)}`}`);
    this.check = name;
  }
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(2).padStart(6)} s`;
}
