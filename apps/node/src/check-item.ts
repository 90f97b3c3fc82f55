import {
  ITEM_VALUE_BYTES_MAX,
  KeyTooLongError,
  USER_KEY_BYTES_MAX,
  ValueTooLongError,
} from "@holdfast/item-store";

/**
 * Refuses what no item can be, before it travels to whoever would refuse it.
 *
 * @throws {@link KeyTooLongError} `ERR_HOLDFAST_KEY_TOO_LONG`, {@link ValueTooLongError} `ERR_HOLDFAST_VALUE_TOO_LONG`.
 */
export function checkItem(key: Uint8Array, value: Uint8Array | undefined): void {
  if (key.length === 0 || key.length > USER_KEY_BYTES_MAX)
    throw new KeyTooLongError(key.length, USER_KEY_BYTES_MAX);
  if (value !== undefined && value.length > ITEM_VALUE_BYTES_MAX)
    throw new ValueTooLongError(value.length, ITEM_VALUE_BYTES_MAX);
}
