import { kafkajs } from "../support/driver.ts";
import { assertEverything } from "./assertions.ts";

assertEverything(kafkajs);
