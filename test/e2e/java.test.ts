import { java } from "../support/driver.ts";
import { assertEverything } from "./assertions.ts";

assertEverything(java);
