import { librdkafka } from "../support/driver.ts";
import { assertEverything } from "./assertions.ts";

assertEverything(librdkafka);
