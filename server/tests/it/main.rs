//! The whole server over HTTP: the router of `serve`, a database of its own for
//! each test, the sandbox where a provider is needed. One file an area of addresses.

mod accounts;
mod approve;
mod authorize;
mod backchannel;
mod canary;
mod ciba;
mod client_document;
mod crash;
mod demo;
mod device;
mod devices;
mod door;
mod durability;
mod exchange;
mod forms;
mod house;
mod introspect;
mod keeping;
mod kms;
mod limits;
mod logout;
mod me;
mod notify;
mod pages;
mod par;
mod process;
mod providers;
mod proxy;
mod register;
mod sign_in;
mod token;
mod upstream;
mod user_code;
mod well_known;
mod worker;
