import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostProcesses } from './engine.mjs';
import { makeRepository } from './repository.mjs';
import { differenceOf, kindsOf, readTree } from './tree.mjs';

const standardImage = 'opencode-sandbox-base';
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? standardImage;
const longCommand = 'setsid sleep 1000 & sleep 1000 & echo started; wait';
const leftRunning = 'sleep 1000 >/dev/null 2>&1 &';

export async function prepare({ story, cli, engine, paths }) {
  await story.step('A small git repository', async (say) => {
    const commit = await makeRepository(paths.repository);
    say(`commit ${commit.slice(0, 12)}`);
  });
  await story.step(`The image ${image}, built unless it is there`, async (say) => {
    const { images } =
      image === standardImage ? await cli.call('images', 'build', image) : await imageNamed(cli, image);
    const megabytes = Math.round(images[0].sizeBytes / 1e6);
    const { Version } = await engine.version();
    story.fact('image', { name: image, id: images[0].id, megabytes });
    story.fact('engine', Version);
    say(`${megabytes} MB, on Docker Engine ${Version}`);
  });
}

async function imageNamed(cli, reference) {
  const { images } = await cli.call('images', 'list');
  return { images: images.filter(({ references }) => references.some((name) => name.startsWith(reference))) };
}

/** A task on the repository; agent A works in it, decides, makes a checkpoint. */
export async function firstAgent({ story, cli, engine, paths }) {
  const task = await story.step('create-task: a task with a workspace of its own', async (say) => {
    const about = ['--description', 'Make it shout.', '--agent', 'ada', '--model', 'm-1'];
    const { task } = await cli.call(
      'create-task',
      'Port the greeter',
      '--git',
      paths.repository,
      '--image',
      image,
      ...about,
    );
    say(task.id);
    return task;
  });
  story.fact('homeId', task.homeId);
  const a = await story.step('resume-task: agent ada attaches', async (say) => {
    const attached = await cli.call('resume-task', task.id, '--agent', 'ada', '--model', 'm-1');
    say(`session ${attached.session.id}, fencing token ${attached.lease.token}`);
    return attached;
  });
  const session = ['--session', a.session.id];
  await story.step('exec: the first command makes the sandbox', async (say) => {
    const { stdout } = await cli.call('exec', task.id, ...session, '--script', 'id -un; git branch --show-current; ls');
    const [user, branch, ...files] = stdout.text.trim().split('\n');
    story.check('commands do not run as root', user === 'agent', user);
    story.check('the hook made a branch for the task', branch === 'ada-m-1/port-the-greeter', branch);
    story.check('the hook wrote a plan', files.includes('Plan.md'), files);
    say(`as ${user}, on branch ${branch}: ${files.join(' ')}`);
  });
  await story.step('exec: ada changes, adds, deletes files and installs a program', async () => {
    await cli.call('exec', task.id, ...session, '--script', workOfA);
    const { stdout } = await cli.call('exec', task.id, ...session, '--', 'shout', 'hello');
    story.check('the installed program runs', stdout.text === 'HELLO\n', stdout.text);
  });
  await story.step('decide, todo: what the next agent has to know', async () => {
    const why = ['--why', 'The table is read by other programs.', '--alternative', 'rewrite the table'];
    await cli.call('decide', task.id, 'Keep the table as it is', ...session, ...why);
    await cli.call('todo', 'add', task.id, 'Check the greeting in other languages', ...session, '--major');
  });
  const tree = await readTree(cli, task.id, a.session.id);
  const { checkpoint } = await story.step('checkpoint: workspace, home directory and root file system', async (say) => {
    const made = await cli.call('checkpoint', task.id, ...session, '--name', 'shouting');
    const { workspace, root } = made.checkpoint;
    story.check('the checkpoint holds the installed program', root !== null && root.changedPaths > 0, root);
    say(
      `${made.checkpoint.id}: ${workspace.entries} entries, ${root.changedPaths} changed paths in the root file system`,
    );
    return made;
  });
  story.fact('tree', kindsOf(tree));
  const { containers } = await engine.objectsOf(task.homeId);
  story.check('one container of this home runs', containers.length === 1, containers);
  return { task, a, tree, checkpoint };
}

const workOfA = `
set -eu
printf '\\nNow louder.\\n' >> README.md
printf '#!/bin/sh\\nexec /usr/local/bin/shout "hello, \${1:-world}"\\n' > bin/greet
mkdir -p notes/empty 'with space'
echo kept > 'with space/a file'
chmod 600 'with space/a file'
rm -r docs
ln -s ../README.md notes/readme
echo 'set -o vi' > ~/.profile
printf '#!/bin/sh\\necho "$*" | tr a-z A-Z\\n' > /usr/local/bin/shout
chmod 755 /usr/local/bin/shout`;

/** The process that runs a long command is killed; nothing gets to tidy up. */
export async function crash({ story, cli, engine, run }) {
  await story.step('exec: ada leaves a program running in the background', async (say) => {
    await cli.call('exec', run.task.id, '--session', run.a.session.id, '--script', leftRunning);
    const running = await sleepers(engine, run.task.homeId);
    story.check('the program outlives its command', running.length === 1, running);
    say(running[0]);
  });
  await story.step('exec: a long command, and kill -9 for the process that runs it', async (say) => {
    const args = ['exec', run.task.id, '--session', run.a.session.id, '--', 'sh', '-c', longCommand];
    const child = cli.start(args, { detached: true });
    await outputOf(child, 'started');
    const exited = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    const [, signal] = await exited;
    story.check('the process was killed', signal === 'SIGKILL', signal);
    say('killed; nothing of ours got to tidy up');
  });
}

/** A new process takes the task over; the late writer is refused; the files are the same. */
export async function secondAgent({ story, cli, engine, run }) {
  const { task, a, tree } = run;
  const b = await story.step('find-task, resume-task --takeover: a new process, agent grace', async (say) => {
    const { tasks } = await cli.call('find-task', 'greeter');
    story.check(
      'the task is found by a word of its title',
      tasks.length === 1 && tasks[0].id === task.id,
      tasks.length,
    );
    const attached = await cli.call('resume-task', tasks[0].id, '--takeover', '--agent', 'grace', '--model', 'm-2');
    const { lease, displaced, recovered, briefing } = attached;
    story.check('the fencing token is larger', lease.token > a.lease.token, [a.lease.token, lease.token]);
    story.check(
      "ada's session is the one displaced",
      displaced.some(({ id }) => id === a.session.id),
      displaced,
    );
    const interrupted = recovered.filter(({ resolution }) => resolution === 'interrupted');
    story.check('the interrupted command is reported', interrupted.length === 1, recovered);
    story.check(
      'grace is told the decision and the todo',
      briefing.decisions.length === 1 && briefing.todos.length === 1,
    );
    story.check('the program of ada is ended', attached.endedProcesses >= 1, attached.endedProcesses);
    say(interrupted[0].summary);
    say(`fencing token ${a.lease.token} -> ${lease.token}; processes of ada ended: ${attached.endedProcesses}`);
    return attached;
  });
  await story.step("ada's late writes", async (say) => {
    const left = await sleepers(engine, task.homeId);
    story.check('nothing that ada left running runs any more', left.length === 0, left);
    const write = await cli.refused('exec', task.id, '--session', a.session.id, '--', 'touch', 'late');
    story.check('a late command is refused', isFencedOff(write.error) && write.exitCode === 125, write);
    const decision = await cli.refused('decide', task.id, 'Too late', '--session', a.session.id);
    story.check('a late decision is refused', isFencedOff(decision.error) && decision.exitCode === 4, decision);
    say(`refused: ${write.error.code}: ${write.error.message}`);
  });
  await story.step('exec: grace sees exactly the files of ada', async (say) => {
    const seen = await readTree(cli, task.id, b.session.id);
    story.check("grace's tree is ada's", differenceOf(tree, seen) === undefined, differenceOf(tree, seen));
    say(`${seen.length} lines of listing are equal`);
  });
  return { ...run, b };
}

/** The workspace is broken, the checkpoint restored, a second task forked from it. */
export async function backAndApart({ story, cli, run }) {
  const { task, b, tree, checkpoint } = run;
  const session = ['--session', b.session.id];
  await story.step('exec: grace breaks the workspace', async () => {
    await cli.call('exec', task.id, ...session, '--script', breakage);
    const broken = differenceOf(tree, await readTree(cli, task.id, b.session.id));
    story.check('the tree is broken', broken !== undefined);
  });
  await story.step('restore-checkpoint: back to the checkpoint of ada', async (say) => {
    const { saved } = await cli.call('restore-checkpoint', task.id, 'shouting', ...session);
    story.check('the broken state was saved first', saved !== null && saved.id !== checkpoint.id, saved);
    const difference = differenceOf(tree, await readTree(cli, task.id, b.session.id));
    story.check(
      'bytes, modes, owners, links and empty directories are identical',
      difference === undefined,
      difference,
    );
    const { stdout } = await cli.call('exec', task.id, ...session, '--', 'sh', '-c', './greet; shout back');
    story.check('the installed program is back', stdout.text === 'HELLO, WORLD\nBACK\n', stdout.text);
    say(`identical; what was there before is kept as ${saved.id}`);
  });
  const fork = await story.step('fork: a second task from the checkpoint', async (say) => {
    const { task: second } = await cli.call(
      'fork',
      task.id,
      '--checkpoint',
      'shouting',
      '--title',
      'Whisper instead',
      ...session,
    );
    const inherited = await readTree(cli, second.id);
    story.check(
      'the fork begins as the checkpoint',
      differenceOf(tree, inherited) === undefined,
      differenceOf(tree, inherited),
    );
    await cli.call('exec', second.id, '--script', 'rm -r notes; echo quiet > README.md; rm /usr/local/bin/shout');
    const first = differenceOf(tree, await readTree(cli, task.id, b.session.id));
    story.check('the first task is not touched by the fork', first === undefined, first);
    say(`${second.id} changed, ${task.id} unchanged`);
    return second;
  });
  return { ...run, fork };
}

const breakage = `
set -eu
rm -rf bin notes README.md
echo x > table.bin
chmod 777 'with space/a file'
ln -sfn nowhere greet
rm /usr/local/bin/shout ~/.profile
touch unwanted`;

/** Both tasks are completed and deleted; their record stays. */
export async function ending({ story, cli, engine, paths, run }) {
  const { task, b, fork } = run;
  await story.step('complete-task', async () => {
    const done = await cli.call('complete-task', task.id, '--session', b.session.id, '--summary', 'It shouts.');
    const forkDone = await cli.call('complete-task', fork.id);
    story.check(
      'both tasks are completed',
      [done, forkDone].every(({ task }) => task.status === 'completed'),
    );
  });
  await story.step('verify: the ledger of the whole home', async (say) => {
    const report = await cli.call('verify');
    story.check('every chain is intact', report.ok, report.broken);
    story.fact('records', report.records);
    say(`${report.records} records in ${report.chains} chains`);
  });
  const { containers } = await engine.objectsOf(task.homeId);
  await story.step('cleanup-task: sandboxes, volumes and processes go', async (say) => {
    const receipts = [];
    for (const { id } of [task, fork]) receipts.push((await cli.call('cleanup-task', id)).receipt);
    const left = await engine.objectsOf(task.homeId);
    story.check('no container is left', left.containers.length === 0, left.containers);
    story.check('no volume of a task is left', left.volumes.length === 0, left.volumes);
    story.check('the layers of the last checkpoints are in one volume at most', left.layers.length <= 1, left.layers);
    story.check('no network is left', left.networks.length === 0, left.networks);
    const processes = await hostProcesses(paths.home, containers);
    story.check('no process is left', processes.length === 0, processes);
    story.fact('receipts', receipts);
    say(
      receipts.map(({ removed }) => `removed ${removed.containers} container, ${removed.volumes} volumes`).join('; '),
    );
  });
  await story.step('task-history: the record still reads', (say) => recordStillReads({ story, cli, paths, run, say }));
}

async function recordStillReads({ story, cli, paths, run, say }) {
  const { task } = run;
  const { records } = await cli.call('task-history', task.id, '--oldest-first', '--limit', '10000');
  const types = records.map(({ type }) => type);
  story.check('the history begins with the creation', types[0] === 'task.created', types[0]);
  story.check(
    'the history holds the deletion',
    types.some((type) => type.startsWith('deletion.')),
    types,
  );
  const { error, exitCode } = await cli.refused('resume-task', task.id);
  story.check('the task is gone, with a receipt', error.code === 'OCT_TASK_NOT_FOUND' && exitCode === 3, error);
  story.check('the receipt says where the work is kept', error.details.receipt?.taskId === task.id, error.details);
  const memory = join(paths.home, 'tasks', task.id);
  const decisions = await readFile(join(memory, 'decisions.md'), 'utf8');
  story.check('decisions.md reads without us', decisions.includes('Keep the table as it is'), decisions);
  await access(join(memory, 'state.json'));
  const report = await cli.call('verify');
  story.check('every chain is intact after the deletion', report.ok, report.broken);
  say(`${records.length} records, from ${types[0]} to ${types.at(-1)}`);
}

async function sleepers(engine, homeId) {
  const found = [];
  for (const container of (await engine.objectsOf(homeId)).containers) {
    found.push(...(await engine.processesOf(container)).filter((command) => command.startsWith('sleep 1000')));
  }
  return found;
}

function isFencedOff(error) {
  return error?.code === 'OCT_LEASE_LOST' || error?.code === 'OCT_STALE_FENCING_TOKEN';
}

async function outputOf(child, expected) {
  let seen = '';
  child.stderr.on('data', (chunk) => (seen += chunk));
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    seen += chunk;
    if (seen.includes(expected)) return;
  }
  throw new Error(`The command ended before it printed ${JSON.stringify(expected)}: ${seen}`);
}
