/*
 * Stands in for `node:crypto` in the apps: Node loads its own only when something is first hashed or drawn, so that a verb that
 * only reads starts without it.
 */
const late =
  (name) =>
  (...args) =>
    process.getBuiltinModule('node:crypto')[name](...args);

export const createHash = late('createHash');
export const createHmac = late('createHmac');
export const createPublicKey = late('createPublicKey');
export const generateKeyPairSync = late('generateKeyPairSync');
export const hash = late('hash');
export const randomBytes = late('randomBytes');
export const randomFillSync = late('randomFillSync');
export const randomInt = late('randomInt');
export const randomUUID = late('randomUUID');
export const sign = late('sign');

/** @constructor */
export function X509Certificate(...args) {
  return new (process.getBuiltinModule('node:crypto').X509Certificate)(...args);
}
