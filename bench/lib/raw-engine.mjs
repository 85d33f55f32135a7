import { request } from 'node:http';

/** The engine's API without any library: what a call costs at least. */
const socketPath = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');

/** @returns what the engine answered, parsed; throws for any status from 400 but 404 */
function engineCall(method, path, body) {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length };
    const outgoing = request({ socketPath, method, path, headers, agent: false }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (answer.statusCode >= 400 && answer.statusCode !== 404) reject(new Error(`${method} ${path}: ${text}`));
        else resolve(text === '' ? undefined : JSON.parse(text));
      });
    });
    outgoing.on('error', reject).end(bytes);
  });
}

/** Posts what takes the connection over, and returns its socket. */
function hijack(path, body) {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      connection: 'Upgrade',
      upgrade: 'tcp',
      ...(bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
    };
    const outgoing = request({ socketPath, method: 'POST', path, headers, agent: false });
    outgoing
      .on('upgrade', (_answer, socket) => resolve(socket))
      .on('error', reject)
      .end(bytes);
  });
}

/** Connects to the streams of a container's main process. */
function attach(id) {
  return hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`);
}

/** Runs a command by the engine's own means: makes an exec, starts it, reads it to the end, asks for the exit code. */
export async function rawExec(id, argv) {
  const { Id: exec } = await engineCall('POST', `/containers/${id}/exec`, {
    Cmd: argv,
    AttachStdout: true,
    AttachStderr: true,
  });
  const socket = await hijack(`/exec/${exec}/start`, { Detach: false, Tty: false });
  socket.resume();
  await new Promise((resolve, reject) => socket.on('close', resolve).on('error', reject));
  const { ExitCode: exitCode } = await engineCall('GET', `/exec/${exec}/json`);
  if (exitCode !== 0) throw new Error(`The command ended with ${exitCode}`);
}

/**
 * Makes a container, attaches, starts it and waits for the first byte that its shell puts out: the fewest calls by which a
 * sandbox with these options can come to a first output.
 */
export async function rawFirstOutput(options) {
  const from = performance.now();
  const { Id: id } = await engineCall('POST', '/containers/create', { ...options, Cmd: ['/bin/sh'] });
  const stream = await attach(id);
  const output = new Promise((resolve) => stream.once('data', resolve));
  stream.write('echo up\n');
  await engineCall('POST', `/containers/${id}/start`);
  await output;
  const ms = performance.now() - from;
  stream.destroy();
  return { id, ms };
}

/** Removes a container with its unnamed volumes. @returns milliseconds */
export async function rawRemove(id) {
  const from = performance.now();
  await engineCall('DELETE', `/containers/${id}?force=1&v=1`);
  return performance.now() - from;
}

export async function rawRemoveVolume(name) {
  await engineCall('DELETE', `/volumes/${name}`);
}
