export { maintainHome, openHome } from './open-home.ts';
export type { OpenHomeOptions } from './open-home.ts';
export { loadConfiguration } from './configuration/load-configuration.ts';
export type { Configuration, ConfigurationOptions } from './configuration/load-configuration.ts';
export { configurationSchema } from './configuration/json-schema.ts';
export type { Environment } from './configuration/environment.ts';
