import { platformatic } from "../support/driver.ts";
import { assertEverything } from "./assertions.ts";

assertEverything(platformatic);
