import { franzGo } from "../support/driver.ts";
import { assertEverything } from "./assertions.ts";

assertEverything(franzGo);
