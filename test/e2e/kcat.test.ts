import { kcat } from "../support/kcat.ts";
import { assertEverything } from "./assertions.ts";

assertEverything(kcat);
