import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Prints one line for people. Standard output belongs to the program that is run. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a program to its end and returns its exit code (128 + signal number is folded to 1).
 * Its output goes to standard error unless `stdout` is `inherit`. An interrupt reaches it through the terminal, so this
 * process only has to outlive it.
 */
export function run(command, args, { stdout = 'stderr', env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const ignore = () => {};
    process.on('SIGINT', ignore);
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['inherit', stdout === 'inherit' ? 'inherit' : 2, 2],
      shell: process.platform === 'win32',
    });
    const forward = () => child.kill('SIGTERM');
    process.on('SIGTERM', forward);
    const settle = (settled) => (value) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', forward);
      settled(value);
    };
    child.on('error', settle(reject));
    child.on('exit', (code, signal) => settle(resolve)(signal === 'SIGINT' ? 130 : (code ?? 1)));
  });
}
