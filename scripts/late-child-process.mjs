/* Stands in for `node:child_process` in commander, which only asks for it to run subcommands that are programs; we have none. */
const spawn = (...args) => process.getBuiltinModule('node:child_process').spawn(...args);

export default { spawn };
