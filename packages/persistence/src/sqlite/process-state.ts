import { readFileSync } from 'node:fs';

/**
 * True when a process of this machine is there and not stopped; a stopped one counts when asked so. Where the system does
 * not tell who is stopped, whoever is there can run.
 */
export function canRun(pid: number, also: 'stopped too' | null = null): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
  return also === 'stopped too' || !isStopped(pid);
}

/** Reads a line such as `4242 (node) T 1 …`; the name may hold anything (proc(5)). */
function isStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return 'TtZ'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
