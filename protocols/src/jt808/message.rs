//! The messages: one table, one file for each.
//!
//! A message is added by its file and its line in the table below. Fields stand in the order of
//! the wire and keep the wire's units; what they mean in our terms is decided one step later.

pub mod alarm_attachments;
pub mod alarm_confirmation;
mod answer;
#[cfg(test)]
pub(crate) mod arbitrary;
pub mod area;
pub mod area_query;
pub mod attachment_file;
pub mod authentication;
pub mod av_attributes;
pub mod camera_shot;
pub mod can_data;
pub mod compressed_data;
pub mod delete_areas;
pub mod deregistration;
pub mod driver_identity;
pub mod driving_recorder;
pub mod event_setting;
pub mod field;
pub mod file_upload;
pub mod file_upload_control;
pub mod general_response;
pub mod heartbeat;
pub mod information_menu;
pub mod information_service;
pub mod json;
pub mod link_check;
pub mod list_change;
pub mod live_stream_control;
pub mod live_stream_request;
pub mod live_stream_state;
pub mod location_batch;
pub mod location_query;
pub mod location_report;
pub mod multimedia_data;
pub mod multimedia_data_response;
pub mod multimedia_event;
pub mod parameter_query;
pub mod parameter_query_given;
pub mod parameter_setting;
pub mod parameters;
pub mod passenger_flow;
pub mod phone_book;
pub mod phone_call;
pub mod playback_control;
pub mod playback_request;
pub mod ptz_focus;
pub mod ptz_infrared;
pub mod ptz_iris;
pub mod ptz_rotation;
pub mod ptz_wiper;
pub mod ptz_zoom;
pub mod question;
pub mod registration;
pub mod registration_response;
pub mod resource_query;
pub mod retransmission;
pub mod rsa_key;
pub mod server_time;
pub mod set_circles;
pub mod set_polygon;
pub mod set_rectangles;
pub mod set_route;
pub mod sound_recording;
pub mod stored_media_search;
pub mod stored_media_upload;
pub mod terminal_control;
pub mod terminal_properties;
pub mod text_message;
pub mod tracking;
pub mod transparent_data;
pub mod upgrade;
pub mod upgrade_progress;
pub mod vehicle_control;
pub mod waybill;

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use self::{
    alarm_attachments::{AlarmAttachments, AttachmentsRequest},
    alarm_confirmation::AlarmConfirmation,
    area::SetAreas,
    area_query::{AreaQuery, AreaQueryAnswer},
    attachment_file::{AttachmentFile, AttachmentFileResult},
    authentication::Authentication,
    av_attributes::{AvAttributes, AvAttributesQuery},
    camera_shot::{CameraShot, CameraShotAnswer},
    can_data::CanData,
    compressed_data::CompressedData,
    delete_areas::DeleteAreas,
    deregistration::Deregistration,
    driver_identity::{DriverIdentity, DriverIdentityQuery},
    driving_recorder::{RecorderCommand, RecorderData},
    event_setting::{EventReport, EventSetting},
    file_upload::{FileUploadDone, FileUploadRequest},
    file_upload_control::FileUploadControl,
    general_response::GeneralResponse,
    heartbeat::Heartbeat,
    information_menu::{InformationMenu, InformationRequest},
    information_service::InformationService,
    json::{JsonError, Object},
    link_check::LinkCheck,
    live_stream_control::LiveStreamControl,
    live_stream_request::LiveStreamRequest,
    live_stream_state::LiveStreamState,
    location_batch::LocationBatch,
    location_query::{LocationQuery, LocationQueryResponse},
    location_report::LocationReport,
    multimedia_data::MultimediaData,
    multimedia_data_response::MultimediaDataResponse,
    multimedia_event::MultimediaEvent,
    parameter_query::ParameterQuery,
    parameter_query_given::ParameterQueryGiven,
    parameter_setting::ParameterSetting,
    parameters::Parameters,
    passenger_flow::PassengerFlow,
    phone_book::PhoneBook,
    phone_call::PhoneCall,
    playback_control::PlaybackControl,
    playback_request::PlaybackRequest,
    ptz_focus::PtzFocus,
    ptz_infrared::PtzInfrared,
    ptz_iris::PtzIris,
    ptz_rotation::PtzRotation,
    ptz_wiper::PtzWiper,
    ptz_zoom::PtzZoom,
    question::{Question, QuestionAnswer},
    registration::Registration,
    registration_response::RegistrationResponse,
    resource_query::{ResourceList, ResourceQuery},
    retransmission::RetransmissionRequest,
    rsa_key::RsaKey,
    server_time::{ServerTime, ServerTimeQuery},
    set_circles::Circle,
    set_polygon::SetPolygon,
    set_rectangles::Rectangle,
    set_route::SetRoute,
    sound_recording::SoundRecording,
    stored_media_search::{StoredMediaAnswer, StoredMediaSearch},
    stored_media_upload::{StoredItemUpload, StoredMediaUpload},
    terminal_control::TerminalControl,
    terminal_properties::{PropertiesQuery, TerminalProperties},
    text_message::TextMessage,
    tracking::Tracking,
    transparent_data::TransparentData,
    upgrade::{UpgradePackage, UpgradeResult},
    upgrade_progress::UpgradeProgress,
    vehicle_control::{VehicleControl, VehicleControlResponse},
    waybill::Waybill,
};
use super::Revision;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// The body of a message, on the wire and in JSON.
///
/// Most bodies are a list of fields and come from [`layout!`](field); the others are written out.
pub trait Body: Sized {
    /// Reads the fields in wire order.
    ///
    /// # Errors
    /// When the body does not follow the layout.
    fn decode(reader: &mut Reader, revision: Revision) -> Result<Self, DecodeError>;

    /// Writes the fields in wire order.
    ///
    /// # Errors
    /// When a value cannot stand in its field.
    fn encode(&self, writer: &mut Writer, revision: Revision) -> Result<(), EncodeError>;

    /// Adds the fields to an object, with the names and units of [`json`].
    fn to_json(&self, object: &mut Object);

    /// Takes the fields out of an object. What is left there afterwards has no meaning here.
    ///
    /// # Errors
    /// When a field is missing or has no such value. Messages that only terminals send, and whose
    /// form has fields computed from others, are not read from JSON.
    fn from_json(object: &mut Object) -> Result<Self, JsonError>;
}

impl<T: Body> Body for Box<T> {
    fn decode(reader: &mut Reader, revision: Revision) -> Result<Self, DecodeError> {
        T::decode(reader, revision).map(Self::new)
    }

    fn encode(&self, writer: &mut Writer, revision: Revision) -> Result<(), EncodeError> {
        (**self).encode(writer, revision)
    }

    fn to_json(&self, object: &mut Object) {
        (**self).to_json(object);
    }

    fn from_json(object: &mut Object) -> Result<Self, JsonError> {
        T::from_json(object).map(Self::new)
    }
}

/// What a message is (消息ID).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

impl MessageId {
    /// 0x0101, misprinted in the annex of 2011 for [`DEREGISTRATION`](Self::DEREGISTRATION): the
    /// log-out of terminals that followed it, always with an empty body.
    pub const DEREGISTRATION_MISPRINT: Self = Self(0x0101);

    /// Whether the platform sends it. Above 0x8000, but for the makers' own messages to the
    /// platform, 0xE000 to 0xEFFF.
    #[must_use]
    pub const fn is_downlink(self) -> bool {
        self.0 >= 0x8000 && self.0 & 0xF000 != 0xE000
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What the receiver of a message sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is due.
    None,
    /// The general response: 0x8001 of the platform, 0x0001 of the terminal.
    General,
    /// This message. A general response that says no is an answer as well.
    Message(MessageId),
    /// The general response at once, and later this message.
    GeneralThen(MessageId),
    /// The general response, this message or both; then the message is the answer.
    Either(MessageId),
}

/// One line of the table: what is known of a message beside its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// Its id.
    pub id: MessageId,
    /// Its name: a metric's label, and the word of the API.
    pub name: &'static str,
    /// What it is, with the standard's name.
    pub title: &'static str,
    /// The first revision that has it. Later ones have it as well.
    pub since: Revision,
    /// What is sent back.
    pub answer: Answer,
}

macro_rules! messages {
    ($($id:literal $constant:ident $name:literal $variant:ident($body:ty)
        $since:ident $answer:expr, $doc:literal;)*) => {
        impl MessageId {
            $(#[doc = $doc] pub const $constant: Self = Self($id);)*

            /// The ids that have a layout here.
            pub const ALL: &[Self] = &[$(Self::$constant),*];

            /// What is known of the message; `None` for ids without a layout here.
            #[must_use]
            pub const fn info(self) -> Option<MessageInfo> {
                match self {
                    $(Self::$constant => Some(MessageInfo {
                        id: self,
                        name: $name,
                        title: $doc,
                        since: Revision::$since,
                        answer: $answer,
                    }),)*
                    _ => None,
                }
            }
        }

        /// A message.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = $doc] $variant($body),)*
            /// A message without a layout here.
            Unknown {
                /// Which one.
                id: MessageId,
                /// Its body as it came.
                body: Bytes,
            },
        }

        impl Message {
            /// Reads the body of a message, which is neither encrypted nor one packet of several.
            ///
            /// # Errors
            /// When the body does not follow the layout of its id. Ids without a layout have none
            /// to follow.
            pub fn decode(
                id: MessageId,
                body: Bytes,
                revision: Revision,
            ) -> Result<Self, DecodeError> {
                Ok(match id {
                    $(MessageId::$constant => {
                        Self::$variant(Body::decode(&mut Reader::new(body), revision)?)
                    })*
                    _ => Self::Unknown { id, body },
                })
            }

            /// The body.
            ///
            /// # Errors
            /// When a value cannot stand in its field.
            pub fn encode(&self, revision: Revision) -> Result<Bytes, EncodeError> {
                let mut writer = Writer::new();
                match self {
                    $(Self::$variant(body) => Body::encode(body, &mut writer, revision)?,)*
                    Self::Unknown { body, .. } => return Ok(body.clone()),
                }
                Ok(writer.finish())
            }

            /// Which message it is.
            #[must_use]
            pub const fn id(&self) -> MessageId {
                match self {
                    $(Self::$variant(_) => MessageId::$constant,)*
                    Self::Unknown { id, .. } => *id,
                }
            }

            /// The fields of the body in JSON; see [`json`].
            #[must_use]
            pub fn to_json(&self) -> Object {
                let mut object = Object::new();
                match self {
                    $(Self::$variant(body) => Body::to_json(body, &mut object),)*
                    Self::Unknown { body, .. } => json::put_hex(&mut object, "body", body),
                }
                object
            }

            /// The message of these fields.
            ///
            /// # Errors
            /// When a field is missing, has no such value, or is none of the message.
            pub fn from_json(id: MessageId, mut object: Object) -> Result<Self, JsonError> {
                let message = match id {
                    $(MessageId::$constant => Self::$variant(Body::from_json(&mut object)?),)*
                    _ => Self::Unknown {
                        id,
                        body: field::Field::take(&mut object, "body")
                            .map(|body: field::Data| body.0)?,
                    },
                };
                field::nothing_left(&object).map(|()| message)
            }
        }

        #[cfg(test)]
        impl arbitrary::Arbitrary for Message {
            fn arbitrary(c: &mut arbitrary::Choices, revision: Revision) -> Self {
                let of_each: &[fn(&mut arbitrary::Choices, Revision) -> Self] =
                    &[$(|c, revision| Self::$variant(c.any(revision))),*];
                let index = c.below(of_each.len());
                of_each[index](c, revision)
            }
        }
    };
}

impl MessageId {
    /// The word for a metric's label; `"other"` for ids without a layout here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.info() {
            Some(info) => info.name,
            None => "other",
        }
    }

    /// The message of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.name() == name)
    }
}

impl Serialize for Message {
    /// As `msg_id` and the fields of the body.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = self.to_json();
        json::put(&mut object, "msg_id", self.id().to_string());
        object.serialize(serializer)
    }
}

messages! {
    0x0001 TERMINAL_RESPONSE "terminal_response" TerminalResponse(GeneralResponse) V2011 Answer::None, "General response of the terminal (终端通用应答).";
    0x0002 HEARTBEAT "heartbeat" Heartbeat(Heartbeat) V2011 Answer::General, "Heartbeat (终端心跳).";
    0x0003 DEREGISTRATION "deregistration" Deregistration(Deregistration) V2011 Answer::General, "Log-out (终端注销).";
    0x0004 SERVER_TIME_QUERY "server_time_query" ServerTimeQuery(ServerTimeQuery) V2019 Answer::Message(MessageId(0x8004)), "Query of the server's time (查询服务器时间请求).";
    0x0005 TERMINAL_RETRANSMISSION_REQUEST "terminal_retransmission_request" TerminalRetransmissionRequest(RetransmissionRequest) V2019 Answer::None, "Request of the terminal for missing packets (终端补传分包请求).";
    0x0100 REGISTRATION "registration" Registration(Registration) V2011 Answer::Message(MessageId(0x8100)), "Registration (终端注册).";
    0x0102 AUTHENTICATION "authentication" Authentication(Authentication) V2011 Answer::General, "Authentication (终端鉴权).";
    0x0104 PARAMETERS "parameters" Parameters(Parameters) V2011 Answer::General, "Parameters of the terminal (查询终端参数应答).";
    0x0107 TERMINAL_PROPERTIES "terminal_properties" TerminalProperties(Box<TerminalProperties>) V2013 Answer::General, "Properties of the terminal (查询终端属性应答).";
    0x0108 UPGRADE_RESULT "upgrade_result" UpgradeResult(UpgradeResult) V2013 Answer::General, "Result of an upgrade (终端升级结果通知).";
    0x0200 LOCATION_REPORT "location_report" LocationReport(LocationReport) V2011 Answer::General, "Location report (位置信息汇报).";
    0x0201 LOCATION_QUERY_RESPONSE "location_query_response" LocationQueryResponse(LocationQueryResponse) V2011 Answer::General, "Response to a location query (位置信息查询应答).";
    0x0301 EVENT_REPORT "event_report" EventReport(EventReport) V2011 Answer::General, "Event report (事件报告).";
    0x0302 QUESTION_ANSWER "question_answer" QuestionAnswer(QuestionAnswer) V2011 Answer::General, "Answer to a question (提问应答).";
    0x0303 INFORMATION_REQUEST "information_request" InformationRequest(InformationRequest) V2011 Answer::General, "Request or cancellation of information (信息点播/取消).";
    0x0500 VEHICLE_CONTROL_RESPONSE "vehicle_control_response" VehicleControlResponse(VehicleControlResponse) V2011 Answer::General, "Response to a vehicle control (车辆控制应答).";
    0x0608 AREA_QUERY_ANSWER "area_query_answer" AreaQueryAnswer(AreaQueryAnswer) V2019 Answer::General, "Answer to an area query (查询区域或线路数据应答).";
    0x0700 RECORDER_DATA "recorder_data" RecorderData(RecorderData) V2011 Answer::General, "Data of the driving recorder (行驶记录数据上传).";
    0x0701 WAYBILL "waybill" Waybill(Waybill) V2011 Answer::General, "Electronic waybill (电子运单上报).";
    0x0702 DRIVER_IDENTITY "driver_identity" DriverIdentity(Box<DriverIdentity>) V2011 Answer::General, "Identity of the driver (驾驶员身份信息采集上报).";
    0x0704 LOCATION_BATCH "location_batch" LocationBatch(LocationBatch) V2013 Answer::General, "Batch of location reports (定位数据批量上传).";
    0x0705 CAN_DATA "can_data" CanData(CanData) V2013 Answer::General, "Data of the CAN bus (CAN总线数据上传).";
    0x0800 MULTIMEDIA_EVENT "multimedia_event" MultimediaEvent(MultimediaEvent) V2011 Answer::General, "Multimedia event (多媒体事件信息上传).";
    0x0801 MULTIMEDIA_DATA "multimedia_data" MultimediaData(Box<MultimediaData>) V2011 Answer::GeneralThen(MessageId(0x8800)), "Multimedia data (多媒体数据上传).";
    0x0802 STORED_MEDIA_ANSWER "stored_media_answer" StoredMediaAnswer(StoredMediaAnswer) V2011 Answer::General, "Answer to a search of stored multimedia (存储多媒体数据检索应答).";
    0x0805 CAMERA_SHOT_ANSWER "camera_shot_answer" CameraShotAnswer(CameraShotAnswer) V2013 Answer::General, "Answer to a camera command (摄像头立即拍摄命令应答).";
    0x0900 TRANSPARENT_UPLINK "transparent_uplink" TransparentUplink(TransparentData) V2011 Answer::General, "Data handed through from a device (数据上行透传).";
    0x0901 COMPRESSED_DATA "compressed_data" CompressedData(CompressedData) V2011 Answer::General, "Compressed data (数据压缩上报).";
    0x0A00 TERMINAL_RSA_KEY "terminal_rsa_key" TerminalRsaKey(Box<RsaKey>) V2011 Answer::Message(MessageId(0x8A00)), "RSA key of the terminal (终端RSA公钥).";
    0x1003 AV_ATTRIBUTES "av_attributes" AvAttributes(AvAttributes) V2011 Answer::General, "Attributes of sound and picture (终端上传音视频属性).";
    0x1005 PASSENGER_FLOW "passenger_flow" PassengerFlow(PassengerFlow) V2011 Answer::General, "Passenger flow (终端上传乘客流量).";
    0x1205 RESOURCE_LIST "resource_list" ResourceList(ResourceList) V2011 Answer::General, "List of recordings (终端上传音视频资源列表).";
    0x1206 FILE_UPLOAD_DONE "file_upload_done" FileUploadDone(FileUploadDone) V2011 Answer::General, "End of an upload (文件上传完成通知).";
    0x1210 ALARM_ATTACHMENTS "alarm_attachments" AlarmAttachments(Box<AlarmAttachments>) V2011 Answer::General, "Attachments of an alarm (报警附件信息消息).";
    0x1211 ATTACHMENT_FILE "attachment_file" AttachmentFile(AttachmentFile) V2011 Answer::General, "A file of an alarm follows (文件信息上传).";
    0x1212 ATTACHMENT_FILE_SENT "attachment_file_sent" AttachmentFileSent(AttachmentFile) V2011 Answer::Message(MessageId(0x9212)), "A file of an alarm was sent (文件上传完成消息).";
    0x1FC4 UPGRADE_PROGRESS "upgrade_progress" UpgradeProgress(UpgradeProgress) V2019 Answer::General, "Progress of an upgrade (终端升级进度上报).";
    0x8001 PLATFORM_RESPONSE "platform_response" PlatformResponse(GeneralResponse) V2011 Answer::None, "General response of the platform (平台通用应答).";
    0x8003 PLATFORM_RETRANSMISSION_REQUEST "platform_retransmission_request" PlatformRetransmissionRequest(RetransmissionRequest) V2013 Answer::None, "Request of the platform for missing packets (补传分包请求).";
    0x8004 SERVER_TIME "server_time" ServerTime(ServerTime) V2019 Answer::None, "The server's time (查询服务器时间应答).";
    0x8100 REGISTRATION_RESPONSE "registration_response" RegistrationResponse(RegistrationResponse) V2011 Answer::None, "Response to a registration (终端注册应答).";
    0x8103 PARAMETER_SETTING "parameter_setting" ParameterSetting(ParameterSetting) V2011 Answer::General, "Setting of parameters (设置终端参数).";
    0x8104 PARAMETER_QUERY "parameter_query" ParameterQuery(ParameterQuery) V2011 Answer::Message(MessageId(0x0104)), "Query of all parameters (查询终端参数).";
    0x8105 TERMINAL_CONTROL "terminal_control" TerminalControl(TerminalControl) V2011 Answer::General, "Terminal control (终端控制).";
    0x8106 PARAMETER_QUERY_GIVEN "parameter_query_given" ParameterQueryGiven(ParameterQueryGiven) V2013 Answer::Message(MessageId(0x0104)), "Query of given parameters (查询指定终端参数).";
    0x8107 PROPERTIES_QUERY "properties_query" PropertiesQuery(PropertiesQuery) V2013 Answer::Message(MessageId(0x0107)), "Query of the terminal's properties (查询终端属性).";
    0x8108 UPGRADE_PACKAGE "upgrade_package" UpgradePackage(Box<UpgradePackage>) V2013 Answer::GeneralThen(MessageId(0x0108)), "Upgrade package (下发终端升级包).";
    0x8201 LOCATION_QUERY "location_query" LocationQuery(LocationQuery) V2011 Answer::Message(MessageId(0x0201)), "Location query (位置信息查询).";
    0x8202 TRACKING "tracking" Tracking(Tracking) V2011 Answer::General, "Temporary tracking (临时位置跟踪控制).";
    0x8203 ALARM_CONFIRMATION "alarm_confirmation" AlarmConfirmation(AlarmConfirmation) V2013 Answer::General, "Manual confirmation of alarms (人工确认报警消息).";
    0x8204 LINK_CHECK "link_check" LinkCheck(LinkCheck) V2019 Answer::General, "Link check (链路检测).";
    0x8300 TEXT_MESSAGE "text_message" TextMessage(TextMessage) V2011 Answer::General, "Text message (文本信息下发).";
    0x8301 EVENT_SETTING "event_setting" EventSetting(EventSetting) V2011 Answer::General, "Setting of events (事件设置).";
    0x8302 QUESTION "question" Question(Question) V2011 Answer::GeneralThen(MessageId(0x0302)), "Question (提问下发).";
    0x8303 INFORMATION_MENU "information_menu" InformationMenu(InformationMenu) V2011 Answer::General, "Setting of the information menu (信息点播菜单设置).";
    0x8304 INFORMATION_SERVICE "information_service" InformationService(InformationService) V2011 Answer::General, "Information service (信息服务).";
    0x8400 PHONE_CALL "phone_call" PhoneCall(PhoneCall) V2011 Answer::General, "Phone call back (电话回拨).";
    0x8401 PHONE_BOOK "phone_book" PhoneBook(PhoneBook) V2011 Answer::General, "Setting of the phone book (设置电话本).";
    0x8500 VEHICLE_CONTROL "vehicle_control" VehicleControl(VehicleControl) V2011 Answer::Either(MessageId(0x0500)), "Vehicle control (车辆控制).";
    0x8600 SET_CIRCLES "set_circles" SetCircles(SetAreas<Circle>) V2011 Answer::General, "Set circles (设置圆形区域).";
    0x8601 DELETE_CIRCLES "delete_circles" DeleteCircles(DeleteAreas) V2011 Answer::General, "Delete circles (删除圆形区域).";
    0x8602 SET_RECTANGLES "set_rectangles" SetRectangles(SetAreas<Rectangle>) V2011 Answer::General, "Set rectangles (设置矩形区域).";
    0x8603 DELETE_RECTANGLES "delete_rectangles" DeleteRectangles(DeleteAreas) V2011 Answer::General, "Delete rectangles (删除矩形区域).";
    0x8604 SET_POLYGON "set_polygon" SetPolygon(SetPolygon) V2011 Answer::General, "Set a polygon (设置多边形区域).";
    0x8605 DELETE_POLYGONS "delete_polygons" DeletePolygons(DeleteAreas) V2011 Answer::General, "Delete polygons (删除多边形区域).";
    0x8606 SET_ROUTE "set_route" SetRoute(SetRoute) V2011 Answer::General, "Set a route (设置路线).";
    0x8607 DELETE_ROUTES "delete_routes" DeleteRoutes(DeleteAreas) V2011 Answer::General, "Delete routes (删除路线).";
    0x8608 AREA_QUERY "area_query" AreaQuery(AreaQuery) V2019 Answer::Message(MessageId(0x0608)), "Query areas or routes (查询区域或线路数据).";
    0x8700 RECORDER_QUERY "recorder_query" RecorderQuery(RecorderCommand) V2011 Answer::Message(MessageId(0x0700)), "Collect data of the driving recorder (行驶记录数据采集命令).";
    0x8701 RECORDER_PARAMETERS "recorder_parameters" RecorderParameters(RecorderCommand) V2011 Answer::General, "Parameters for the driving recorder (行驶记录参数下传命令).";
    0x8702 DRIVER_IDENTITY_QUERY "driver_identity_query" DriverIdentityQuery(DriverIdentityQuery) V2013 Answer::Message(MessageId(0x0702)), "Ask for the identity of the driver (上报驾驶员身份信息请求).";
    0x8800 MULTIMEDIA_DATA_RESPONSE "multimedia_data_response" MultimediaDataResponse(MultimediaDataResponse) V2011 Answer::None, "Response to multimedia data (多媒体数据上传应答).";
    0x8801 CAMERA_SHOT "camera_shot" CameraShot(CameraShot) V2011 Answer::Either(MessageId(0x0805)), "Take photos or record now (摄像头立即拍摄命令).";
    0x8802 STORED_MEDIA_SEARCH "stored_media_search" StoredMediaSearch(StoredMediaSearch) V2011 Answer::Message(MessageId(0x0802)), "Search stored multimedia (存储多媒体数据检索).";
    0x8803 STORED_MEDIA_UPLOAD "stored_media_upload" StoredMediaUpload(StoredMediaUpload) V2011 Answer::GeneralThen(MessageId(0x0801)), "Upload stored multimedia (存储多媒体数据上传).";
    0x8804 SOUND_RECORDING "sound_recording" SoundRecording(SoundRecording) V2011 Answer::General, "Start to record sound (录音开始命令).";
    0x8805 STORED_ITEM_UPLOAD "stored_item_upload" StoredItemUpload(StoredItemUpload) V2013 Answer::GeneralThen(MessageId(0x0801)), "Upload one item of stored multimedia (单条存储多媒体数据检索上传命令).";
    0x8900 TRANSPARENT_DOWNLINK "transparent_downlink" TransparentDownlink(TransparentData) V2011 Answer::General, "Data handed through to a device (数据下行透传).";
    0x8A00 PLATFORM_RSA_KEY "platform_rsa_key" PlatformRsaKey(Box<RsaKey>) V2011 Answer::Message(MessageId(0x0A00)), "RSA key of the platform (平台RSA公钥).";
    0x9003 AV_ATTRIBUTES_QUERY "av_attributes_query" AvAttributesQuery(AvAttributesQuery) V2011 Answer::Message(MessageId(0x1003)), "Query of the attributes of sound and picture (查询终端音视频属性).";
    0x9101 LIVE_STREAM_REQUEST "live_stream_request" LiveStreamRequest(LiveStreamRequest) V2011 Answer::General, "Request of a live stream (实时音视频传输请求).";
    0x9102 LIVE_STREAM_CONTROL "live_stream_control" LiveStreamControl(LiveStreamControl) V2011 Answer::General, "Control of a live stream (音视频实时传输控制).";
    0x9105 LIVE_STREAM_STATE "live_stream_state" LiveStreamState(LiveStreamState) V2011 Answer::General, "State of a live stream (实时音视频传输状态通知).";
    0x9201 PLAYBACK_REQUEST "playback_request" PlaybackRequest(PlaybackRequest) V2011 Answer::Message(MessageId(0x1205)), "Request of a playback (平台下发远程录像回放请求).";
    0x9202 PLAYBACK_CONTROL "playback_control" PlaybackControl(PlaybackControl) V2011 Answer::General, "Control of a playback (平台下发远程录像回放控制).";
    0x9205 RESOURCE_QUERY "resource_query" ResourceQuery(ResourceQuery) V2011 Answer::Message(MessageId(0x1205)), "Query of recordings (查询资源列表).";
    0x9206 FILE_UPLOAD_REQUEST "file_upload_request" FileUploadRequest(Box<FileUploadRequest>) V2011 Answer::GeneralThen(MessageId(0x1206)), "Order to upload recordings (文件上传指令).";
    0x9207 FILE_UPLOAD_CONTROL "file_upload_control" FileUploadControl(FileUploadControl) V2011 Answer::General, "Control of an upload (文件上传控制).";
    0x9208 ATTACHMENTS_REQUEST "attachments_request" AttachmentsRequest(Box<AttachmentsRequest>) V2011 Answer::General, "Order to upload the attachments of an alarm (报警附件上传指令).";
    0x9212 ATTACHMENT_FILE_RESULT "attachment_file_result" AttachmentFileResult(AttachmentFileResult) V2011 Answer::None, "What became of a file of an alarm (文件上传完成消息应答).";
    0x9301 PTZ_ROTATION "ptz_rotation" PtzRotation(PtzRotation) V2011 Answer::General, "Rotation of a camera (云台旋转).";
    0x9302 PTZ_FOCUS "ptz_focus" PtzFocus(PtzFocus) V2011 Answer::General, "Focus of a camera (云台调整焦距控制).";
    0x9303 PTZ_IRIS "ptz_iris" PtzIris(PtzIris) V2011 Answer::General, "Iris of a camera (云台调整光圈控制).";
    0x9304 PTZ_WIPER "ptz_wiper" PtzWiper(PtzWiper) V2011 Answer::General, "Wiper of a camera (云台雨刷控制).";
    0x9305 PTZ_INFRARED "ptz_infrared" PtzInfrared(PtzInfrared) V2011 Answer::General, "Infrared light of a camera (红外补光控制).";
    0x9306 PTZ_ZOOM "ptz_zoom" PtzZoom(PtzZoom) V2011 Answer::General, "Zoom of a camera (云台变倍控制).";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use self::arbitrary::Choices;
    use super::*;

    fn arb_revision() -> impl Strategy<Value = Revision> {
        prop_oneof![
            Just(Revision::V2011),
            Just(Revision::V2013),
            Just(Revision::V2019)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]
        #[test]
        fn every_message_comes_back_as_it_was(
            revision in arb_revision(),
            choices in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let message: Message = Choices::new(choices).any(revision);
            let body = message.encode(revision).unwrap();
            let decoded = Message::decode(message.id(), body, revision);
            prop_assert_eq!(decoded.as_ref(), Ok(&message));
            // What the platform sends can be written as JSON, and comes back as it was.
            let id = message.id();
            match Message::from_json(id, message.to_json()) {
                Ok(again) => prop_assert_eq!(again.to_json(), message.to_json()),
                Err(error) => {
                    prop_assert!(!id.is_downlink(), "{id}: {error}");
                    prop_assert_eq!(error.problem, json::JsonProblem::UplinkOnly, "{}", id);
                }
            }
        }
    }

    #[test]
    fn each_line_of_the_table_is_told_apart() {
        for (index, id) in MessageId::ALL.iter().enumerate() {
            assert_ne!(id.name(), "other");
            let others = MessageId::ALL
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            assert!(
                others
                    .clone()
                    .all(|(_, other)| other != id && other.name() != id.name())
            );
        }
        assert_eq!(MessageId(0x0F00).name(), "other");
    }

    #[test]
    fn a_message_is_small_to_move() {
        assert!(size_of::<Message>() <= 160, "{}", size_of::<Message>());
    }

    #[test]
    fn the_direction_is_in_the_id() {
        for (id, is_downlink) in [
            (0x0001, false),
            (0x8001, true),
            (0x9101, true),
            (0xE001, false),
            (0xF001, true),
        ] {
            assert_eq!(MessageId(id).is_downlink(), is_downlink, "{id:04x}");
        }
    }

    #[test]
    fn a_message_without_a_layout_is_kept() {
        let body = Bytes::from_static(&[1, 2, 3]);
        let message = Message::decode(MessageId(0x0F00), body.clone(), Revision::V2013).unwrap();
        assert_eq!(
            message,
            Message::Unknown {
                id: MessageId(0x0F00),
                body: body.clone()
            }
        );
        assert_eq!(message.id(), MessageId(0x0F00));
        assert_eq!(message.encode(Revision::V2013), Ok(body));
    }
}
