import { execFile } from 'node:child_process';
import { startMcpServer } from './mcp-client.mjs';

/** Does each operation of the mix by a process of its own of the built command line. Gives the error code, or `ok`. */
export function commandLineCaller(bin, { env, cwd }) {
  const ask = (args) =>
    new Promise((resolve) => {
      execFile(
        process.execPath,
        [bin, '--json', ...args],
        { env, cwd, maxBuffer: 1 << 26 },
        (error, stdout, stderr) => {
          resolve(error === null ? { code: 'ok', stdout } : { code: codeIn(stderr, error.code) });
        },
      );
    });
  const run = async (args) => (await ask(args)).code;
  return {
    create: (title) => run(['create-task', title]),
    list: () => run(['list-tasks']),
    find: (words) => run(['find-task', words]),
    status: (task) => run(['task-stats', task]),
    decide: (task, what) => run(['decide', task, what]),
    todo: (task, text) => run(['todo', 'add', task, text]),
    note: (task, text) => run(['note', 'add', task, text]),
    history: (task) => run(['task-history', task, '--limit', '20']),
    exec: (task) => run(['exec', task, '--script', 'echo one >> log; wc -l < log']),
    checkpoint: (task) => run(['checkpoint', task]),
    async attach(task) {
      const { code, stdout } = await ask(['resume-task', task, '--agent', 'cli', '--takeover']);
      return code === 'ok' ? await run(['detach', JSON.parse(stdout).session.id]) : code;
    },
    stop: (task) => run(['stop', task]),
    close: async () => {},
  };
}

/** Does the same operations, as far as there are tools, through one MCP server. */
export async function mcpCaller(bin, options) {
  const server = await startMcpServer(bin, options);
  const call = async (name, args) => {
    const { isError, content } = await server.call(name, args);
    return isError ? (content?.code ?? 'untyped') : 'ok';
  };
  return {
    create: (title) => call('create_task_sandbox', { title }),
    list: () => call('list_tasks', {}),
    find: (words) => call('list_tasks', { text: words }),
    status: (task) => call('get_task_status', { task_id: task }),
    decide: (task, what) => call('record_decision', { task_id: task, what }),
    exec: (task) => call('execute_in_task', { task_id: task, command: 'echo one >> log; wc -l < log' }),
    async attach(task) {
      const { isError, content } = await server.call('attach_agent_to_task', {
        task_id: task,
        agent: 'mcp',
        takeover: true,
      });
      if (isError) return content?.code ?? 'untyped';
      return await call('detach_agent_from_task', { session_id: content.session_id });
    },
    stop: (task) => call('stop_task', { task_id: task }),
    close: () => server.close(),
  };
}

function codeIn(stderr, exitCode) {
  for (const line of stderr.trim().split('\n').toReversed()) {
    try {
      return JSON.parse(line).error.code;
    } catch {
      // Not the error document.
    }
  }
  return `exit ${exitCode}, untyped`;
}
