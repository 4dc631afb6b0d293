import type { ShipmentStatus } from './shipment-status.ts';

/** What a carrier's word means. */
export interface CodeMeaning {
  readonly status: ShipmentStatus;
  /** Whether it begins a new leg, a return or a pick-up: only then does it move a shipment that was delivered. */
  readonly newLeg: boolean;
  /** Whether the table has this spelling. `unknown` itself is a word that services use. */
  readonly known: boolean;
}

/**
 * Every spelling there is a meaning for: the ten statuses, the words of the briefs' files, and the vocabularies of EasyPost (with
 * status details), AfterShip (with subtags), Shippo (with substatuses), Karrio and 17TRACK (with sub statuses). Case, spaces,
 * hyphens and underscores do not count, so `in-transit`, `In Transit` and `InTransit` are one spelling.
 *
 * Decisions:
 * - `delivery` is on its way to the door, not delivered: carriers say "delivered" for that, and a file of open shipments has it.
 * - `pending` and `info_received` are announced, not moving. `failure` is a delivery that failed (EasyPost, Shippo).
 * - `expired` (nothing was heard for weeks) and `delayed` want somebody to look: exception. `not_found` says nothing.
 * - `return_to_sender` is under way; `returned` has arrived.
 * - Codes of one or two letters are missing on purpose: DE is delivered at one carrier and an exception at another.
 */
const spellings: Readonly<Record<ShipmentStatus, string>> = {
  pre_transit: `pre_transit pretransit pre_shipment pre_advice pre_alert pending new created registered announced manifested
    booked ordered confirmed label_created label_printed label_generated label_purchased shipping_label_created
    shipment_created shipment_information_received information_received info_received electronic_information_received
    data_received order_received order_processed awaiting_information awaiting_pickup awaiting_collection awaiting_shipment
    awaiting_carrier_pickup ready_to_ship ready_for_shipment ready_for_dispatch not_yet_shipped not_shipped unshipped
    pickup_scheduled collection_scheduled package_information_received pickup_requested
    info_received_001 pending_001 pending_002 pending_003 pending_004 pending_005 pending_006`,
  in_transit: `in_transit intransit transit on_the_way on_its_way en_route moving underway shipped dispatched sent despatched
    inbound_scan inbound outbound_scan outbound scan scanned arrival_scan arrival arrived arrived_at_facility arrived_at_hub
    arrived_at_depot arrived_at_sort_facility arrived_at_destination arrived_at_destination_facility arrived_in_country
    departure_scan departure departed departed_facility departed_hub departed_from_facility departed_origin_facility
    departed_from_country left_facility left_origin_facility origin_scan destination_scan location_scan transit_scan depot_scan
    hub_scan warehouse_scan sort_scan loading_scan unloading_scan sorted sorting in_sorting processed processing
    processed_at_facility processed_through_facility package_processed package_processing package_arrived package_departed
    received_at_facility received_at_origin_facility received_at_destination_facility received_at_hub received_at_depot
    at_facility at_hub at_depot at_local_facility at_delivery_depot transferred transferred_to_destination_carrier
    transferred_to_local_carrier handed_to_local_carrier forwarded package_forwarded redirected rerouted export import
    exported imported customs customs_processing customs_clearance customs_clearance_started customs_cleared customs_released
    in_customs clearance_processing cleared_customs export_scan import_scan status_update delivery_scheduled
    delivery_rescheduled reschedule_delivery in_transit_other in_transit_departure in_transit_arrival
    in_transit_customs_processing in_transit_customs_released in_transit_001 in_transit_003 in_transit_004 in_transit_005
    in_transit_006 in_transit_007 in_transit_008 in_transit_009
    picked_up pick_up pickup package_picked_up pickup_scan pickup_completed collected collection collection_scan accepted
    acceptance acceptance_scan package_accepted carrier_accepted dropped_off drop_off posted handed_over handed_over_to_carrier
    received_by_carrier possession_scan in_transit_picked_up in_transit_pickup in_transit_002`,
  out_for_delivery: `out_for_delivery outfordelivery delivery in_delivery on_delivery out_on_delivery being_delivered
    delivery_in_progress delivering with_courier with_delivery_courier with_driver on_vehicle_for_delivery on_vehicle
    on_van on_the_van loaded_on_vehicle loaded_for_delivery loaded_on_delivery_vehicle delivery_today final_delivery last_mile
    out_for_delivery_other out_for_delivery_001 out_for_delivery_003 out_for_delivery_004`,
  available_for_pickup: `available_for_pickup availableforpickup available_for_collection pickup_available ready_for_pickup
    ready_for_collection ready_to_collect waiting_for_pickup waiting_for_collection awaiting_customer_collection
    awaiting_customer_pickup awaiting_recipient_pickup at_pickup_point at_pickup_location at_parcel_shop at_service_point
    at_collection_point at_post_office in_locker at_locker arrived_at_pickup_location arrived_at_pickup_point
    arrived_at_parcel_shop delivered_to_pickup_point delivered_to_parcel_shop delivered_to_locker delivered_to_collection_point
    delivered_to_access_point delivered_to_post_office held_for_pickup hold_for_pickup hold_at_location
    available_for_pickup_other available_for_pickup_001`,
  delivered: `delivered deliverd delivery_confirmed delivery_complete delivery_completed delivery_successful
    successfully_delivered successful_delivery delivered_to_recipient delivered_to_neighbour delivered_to_neighbor
    delivered_to_mailbox delivered_in_mailbox delivered_to_reception delivered_at_door left_at_door left_with_neighbour
    left_with_neighbor left_in_safe_place delivered_signed signed signed_for signed_by_recipient proof_of_delivery pod complete
    completed collected_by_customer collected_by_recipient collected_by_addressee picked_up_by_customer
    picked_up_by_recipient package_delivered delivered_other delivered_001 delivered_002 delivered_003 delivered_004`,
  exception: `exception error failure failed fail alert problem issue incident delivery_exception transit_exception
    shipment_exception clearance_exception attempt attempted attempt_fail attempt_failed attempt_failure failed_attempt
    delivery_attempt delivery_attempted delivery_attempt_failed failed_delivery failed_delivery_attempt delivery_fail
    delivery_failed delivery_failure unsuccessful_delivery delivery_unsuccessful undelivered not_delivered undeliverable
    package_undeliverable recipient_not_home recipient_unavailable nobody_home not_home notice_left card_left refused
    refused_by_recipient delivery_refused rejected lost package_lost missing damaged package_damaged damage destroyed
    disposed package_disposed discarded stolen seized held hold on_hold package_held held_in_customs held_at_customs
    customs_hold customs_held customs_delay action_required contact_carrier address_issue address_correction
    incorrect_address wrong_address invalid_address bad_address insufficient_address location_inaccessible missorted misrouted
    missent delay delayed delivery_delayed weather_delay late unclaimed package_unclaimed expired expired_001 expired_other
    in_transit_customs_requiring_information in_transit_010 attempt_fail_001 attempt_fail_002 attempt_fail_003
    delivery_failure_other delivery_failure_no_body delivery_failure_security delivery_failure_rejected
    delivery_failure_invalid_address exception_other exception_no_body exception_security exception_damage
    exception_rejected exception_delayed exception_lost exception_destroyed exception_001 exception_002 exception_003
    exception_004 exception_005 exception_006 exception_007 exception_008 exception_009 exception_012 exception_013`,
  returning: `returning return return_to_sender returning_to_sender returntosender return_to_shipper returning_to_shipper
    return_in_transit return_in_progress return_initiated return_started return_requested being_returned being_returned_to_sender
    rts in_return return_to_origin rto on_its_way_back exception_returning exception_010`,
  returned: `returned returned_to_sender returned_to_shipper returned_to_origin return_delivered return_complete
    return_completed return_received delivered_to_sender delivered_back_to_sender rto_delivered exception_returned exception_011`,
  cancelled: `cancelled canceled cancel void voided cancellation shipment_cancelled shipment_canceled label_cancelled
    label_canceled label_voided order_cancelled order_canceled aborted withdrawn exception_cancel`,
  unknown: `unknown undefined none null other n/a not_found not_found_other not_found_invalid_code no_information
    no_tracking_information`,
};

// Of these statuses every spelling begins a new leg: the parcel goes back, or it waits where somebody has to fetch it.
const newLegStatuses: readonly ShipmentStatus[] = ['available_for_pickup', 'returning', 'returned'];

/** In transit again after it was delivered: the carrier has fetched it, a return under its old number. */
const pickUps = `picked_up pick_up package_picked_up pickup_scan pickup_completed collected collection collection_scan
  accepted acceptance acceptance_scan package_accepted carrier_accepted dropped_off drop_off posted handed_over
  handed_over_to_carrier received_by_carrier possession_scan in_transit_picked_up in_transit_pickup in_transit_002`;

/** A code as it is compared: small letters and digits only. */
export const foldCode = (code: string): string =>
  code
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '');

const wordsOf = (text: string): string[] => text.split(/\s+/).map(foldCode);

const notKnown: CodeMeaning = { status: 'unknown', newLeg: false, known: false };
const meanings = meaningsOf();

function meaningsOf(): ReadonlyMap<string, CodeMeaning> {
  const isPickUp = new Set(wordsOf(pickUps));
  const found = new Map<string, CodeMeaning>();
  for (const [status, text] of Object.entries(spellings) as [ShipmentStatus, string][]) {
    for (const word of wordsOf(text)) {
      const newLeg = newLegStatuses.includes(status) || isPickUp.has(word);
      const other = found.get(word);
      if (other !== undefined && other.status !== status)
        throw new Error(`The code ${word} stands under ${other.status} and ${status}.`);
      found.set(word, { status, newLeg, known: true });
    }
  }
  return found;
}

/** What a code means; `unknown` and not `known` for one that stands in no table: it is kept as it came and reported. */
export const statusOfCode = (code: string): CodeMeaning => meanings.get(foldCode(code)) ?? notKnown;

/** Every spelling of the table, folded, with its meaning. */
export const knownCodes = (): ReadonlyMap<string, CodeMeaning> => meanings;
