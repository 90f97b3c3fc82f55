export { type BlockDeviceFixture, blockDeviceSuite, SUITE_DEVICE_BYTES } from "./block-device-suite.ts";
export { type ClockFixture, clockSuite } from "./clock-suite.ts";
export { type Fixture, type FixtureFactory, pattern, sameBytes, settleByWaiting } from "./fixture.ts";
export { type RandomFixture, randomSuite } from "./random-suite.ts";
export { type TransportFixture, transportSuite } from "./transport-suite.ts";
