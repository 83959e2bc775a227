//! What is measured: the quantities of EN 13757-3 tables 10 to 14, in the words of the standard.

use std::fmt;

macro_rules! quantities {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// A quantity. Its power of ten and unit stand beside it in [`super::Vib`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quantity {
            $($(#[$doc])* $variant,)*
            /// The meter's own words (VIF 7C), unit and quantity in one: see [`super::Vib::own`].
            PlainText,
            /// VIF 7F, meaningful only to the manufacturer: see [`super::Vib::own`].
            Manufacturer,
            /// A reserved code: see [`super::Vib::own`].
            Reserved,
        }

        impl Quantity {
            /// It counts up and never falls below zero: what was used.
            pub(super) const fn is_register(self) -> bool {
                matches!(
                    self,
                    Self::Energy
                        | Self::Volume
                        | Self::Mass
                        | Self::HcaUnits
                        | Self::ReactiveEnergy
                        | Self::ApparentEnergy
                )
            }

            /// A stable name, snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::PlainText => "plain_text",
                    Self::Manufacturer => "manufacturer_specific",
                    Self::Reserved => "reserved",
                }
            }
        }
    };
}

quantities! {
    // EN 13757-3:2018, table 10: primary VIF codes.
    Energy "energy",
    Volume "volume",
    Mass "mass",
    OnTime "on_time",
    OperatingTime "operating_time",
    Power "power",
    VolumeFlow "volume_flow",
    MassFlow "mass_flow",
    FlowTemperature "flow_temperature",
    ReturnTemperature "return_temperature",
    TemperatureDifference "temperature_difference",
    ExternalTemperature "external_temperature",
    Pressure "pressure",
    Date "date",
    DateTime "date_time",
    /// Units for heat cost allocators.
    HcaUnits "hca_units",
    AveragingDuration "averaging_duration",
    ActualityDuration "actuality_duration",
    FabricationNumber "fabrication_number",
    Identification "identification",
    BusAddress "bus_address",
    /// Any VIF, in a readout selection.
    Any "any",
    // Table 14: alternate VIF codes after FB.
    ReactiveEnergy "reactive_energy",
    ApparentEnergy "apparent_energy",
    CoefficientOfPerformance "coefficient_of_performance",
    ReactivePower "reactive_power",
    ApparentPower "apparent_power",
    RelativeHumidity "relative_humidity",
    PhaseVoltageVoltage "phase_voltage_voltage",
    PhaseVoltageCurrent "phase_voltage_current",
    PhaseCurrentVoltage "phase_current_voltage",
    Frequency "frequency",
    ResultingRatingFactor "resulting_rating_factor",
    ThermalOutputRatingFactor "thermal_output_rating_factor",
    ThermalCouplingRatingFactor "thermal_coupling_rating_factor",
    ThermalCouplingRatingFactorRoomSide "thermal_coupling_rating_factor_room_side",
    ThermalCouplingRatingFactorHeatingSide "thermal_coupling_rating_factor_heating_side",
    LowTemperatureRatingFactor "low_temperature_rating_factor",
    DisplayOutputScalingFactor "display_output_scaling_factor",
    TemperatureLimit "temperature_limit",
    CumulativeMaximumPower "cumulative_maximum_power",
    // Table 12: main extension after FD.
    Credit "credit",
    Debit "debit",
    UniqueMessageIdentification "unique_message_identification",
    DeviceType "device_type",
    ManufacturerCode "manufacturer",
    ParameterSetIdentification "parameter_set_identification",
    ModelVersion "model_version",
    HardwareVersion "hardware_version",
    MetrologyFirmwareVersion "metrology_firmware_version",
    OtherSoftwareVersion "other_software_version",
    CustomerLocation "customer_location",
    Customer "customer",
    AccessCodeUser "access_code_user",
    AccessCodeOperator "access_code_operator",
    AccessCodeSystemOperator "access_code_system_operator",
    AccessCodeDeveloper "access_code_developer",
    Password "password",
    ErrorFlags "error_flags",
    ErrorMask "error_mask",
    SecurityKey "security_key",
    DigitalOutput "digital_output",
    DigitalInput "digital_input",
    BaudRate "baud_rate",
    ResponseDelay "response_delay",
    Retry "retry",
    RemoteControl "remote_control",
    FirstStorageNumber "first_storage_number",
    LastStorageNumber "last_storage_number",
    StorageBlockSize "storage_block_size",
    TariffSubunitDescriptor "tariff_subunit_descriptor",
    StorageInterval "storage_interval",
    OperatorSpecificData "operator_specific_data",
    TimePointSecond "time_point_second",
    DurationSinceLastReadout "duration_since_last_readout",
    TariffStart "tariff_start",
    TariffDuration "tariff_duration",
    TariffPeriod "tariff_period",
    Dimensionless "dimensionless",
    WirelessMBusContainer "wireless_m_bus_container",
    NominalTransmissionPeriod "nominal_transmission_period",
    Voltage "voltage",
    Current "current",
    ResetCounter "reset_counter",
    CumulationCounter "cumulation_counter",
    ControlSignal "control_signal",
    DayOfWeek "day_of_week",
    WeekNumber "week_number",
    TimeOfDayChange "time_of_day_change",
    ParameterActivationState "parameter_activation_state",
    SupplierInformation "supplier_information",
    DurationSinceLastCumulation "duration_since_last_cumulation",
    BatteryOperatingTime "battery_operating_time",
    BatteryChange "battery_change",
    RfLevel "rf_level",
    DaylightSaving "daylight_saving",
    ListeningWindow "listening_window",
    RemainingBatteryLife "remaining_battery_life",
    MeterStopCount "meter_stop_count",
    ManufacturerContainer "manufacturer_container",
    CurrentlySelectedApplication "currently_selected_application",
    Moisture "moisture",
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
