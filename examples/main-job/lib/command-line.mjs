import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Runs the built command line, one process per call. */
export function createCommandLine({ bin, cwd, environment }) {
  const start = (args, options = {}) =>
    spawn(process.execPath, [bin, ...args], { cwd, env: environment, stdio: ['ignore', 'pipe', 'pipe'], ...options });

  const timings = [];

  /** Runs a command to its end. */
  async function run(args) {
    const from = performance.now();
    const child = start(args);
    const [stdout, stderr, [code]] = await Promise.all([
      textOf(child.stdout),
      textOf(child.stderr),
      once(child, 'close'),
    ]);
    const verb = args.filter((word) => !word.startsWith('-'))[0];
    timings.push({ verb, ms: Math.round(performance.now() - from), exitCode: code });
    return { args, code, stdout, stderr };
  }

  /** Runs a command with `--json` that has to end with 0 and returns its document. */
  async function call(...args) {
    const ended = await run(['--json', ...args]);
    if (ended.code === 0) return JSON.parse(ended.stdout);
    throw new CommandFailed(ended);
  }

  /** Runs a command that has to be refused and returns its exit code and typed error. */
  async function refused(...args) {
    const ended = await run(['--json', ...args]);
    if (ended.code === 0) throw new Error(`Not refused: opencode-tools ${args.join(' ')}`);
    return { exitCode: ended.code, error: errorOf(ended) };
  }

  return { start, run, call, refused, timings };
}

/** A command of ours that had to succeed and did not; carries its typed error. */
export class CommandFailed extends Error {
  constructor(ended) {
    const error = errorOf(ended);
    const told = error === undefined ? outputOf(ended) : `${error.code}: ${error.message}\nRemedy: ${error.remedy}`;
    super(`opencode-tools ${ended.args.join(' ')} ended with ${ended.code}\n${told}`);
    this.exitCode = ended.code;
    this.error = error;
  }
}

/** What a command in the sandbox printed before it ended badly, or what ours did. */
function outputOf({ stdout, stderr }) {
  try {
    return JSON.parse(stdout).stderr.text;
  } catch {
    return stderr.trim();
  }
}

function errorOf({ stderr }) {
  for (const line of stderr.trim().split('\n').toReversed()) {
    try {
      return JSON.parse(line).error;
    } catch {
      // Progress lines are not JSON.
    }
  }
  return undefined;
}

async function textOf(stream) {
  stream.setEncoding('utf8');
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}
