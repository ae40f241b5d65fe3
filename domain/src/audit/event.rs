//! Making an event.

use evidence::leaf::{Commitment, Leaf};
use serde_json::{Map, Value};

use crate::storage::{EventRow, Tx};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $word:literal),+ $(,)?) => {
        /// What happened. The word stands in the leaf for ever: never change one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $variant),+ }

        impl Kind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the leaf.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

kinds! {
    /// A person was created.
    PersonCreated => "person.created",
    /// A person was locked or unlocked.
    PersonState => "person.state",
    /// The personal data in a person's events was erased.
    PersonalDataErased => "person.data_erased",
    /// A person has a new password.
    PasswordChanged => "person.password",
    /// A person set, changed or took away their user code.
    UserCodeChanged => "person.user_code",
    /// A person has a new passkey; on hold if a recovery code gave it.
    PasskeyAdded => "passkey.added",
    /// A passkey has another name.
    PasskeyRenamed => "passkey.renamed",
    /// A passkey was revoked.
    PasskeyRevoked => "passkey.revoked",
    /// An answer of a passkey did not count.
    PasskeyRefused => "passkey.refused",
    /// The counter of a passkey did not go on: it may have been copied.
    PasskeyCounter => "passkey.counter",
    /// A person has new recovery codes.
    RecoveryCodesIssued => "recovery_codes.issued",
    /// A recovery code was used up.
    RecoveryCodeUsed => "recovery_codes.used",
    /// A person signed in.
    SignedIn => "session.signed_in",
    /// A sign-in was refused.
    SignInRefused => "session.refused",
    /// A person signed out.
    SignedOut => "session.signed_out",
    /// A client was registered.
    ClientCreated => "client.created",
    /// A client was changed, frozen or thawed.
    ClientChanged => "client.changed",
    /// A client got a new secret.
    ClientSecret => "client.secret",
    /// A person consented to a client.
    ConsentGiven => "consent.given",
    /// A person refused a client.
    ConsentRefused => "consent.refused",
    /// A consent was taken back.
    ConsentRevoked => "consent.revoked",
    /// Tokens of ours were issued.
    TokenIssued => "token.issued",
    /// A token or its family was revoked.
    TokenRevoked => "token.revoked",
    /// A used-up code or refresh token was presented again.
    TokenReused => "token.reused",
    /// A refresh token that does not rotate was used from a new network.
    TokenNewNetwork => "token.new_network",
    /// A connection was set up.
    ConnectionCreated => "connection.created",
    /// A connection was changed.
    ConnectionChanged => "connection.changed",
    /// A provider was added to the catalogue.
    ProviderAdded => "provider.added",
    /// A provider of our own was changed.
    ProviderChanged => "provider.changed",
    /// A provider of our own was taken out.
    ProviderRemoved => "provider.removed",
    /// A client asked for an account to be linked.
    ConnectAsked => "connect.asked",
    /// The client that asked was told of the account.
    ConnectCompleted => "connect.completed",
    /// The person or the provider refused what a client asked for.
    ConnectRefused => "connect.refused",
    /// An account was linked.
    AccountLinked => "account.linked",
    /// An account was linked again.
    AccountRelinked => "account.relinked",
    /// The provider no longer honours an account.
    AccountReconnect => "account.reconnect",
    /// An account was unlinked.
    AccountUnlinked => "account.unlinked",
    /// A provider's consent was refused or failed.
    LinkFailed => "account.link_failed",
    /// A provider grant was refreshed.
    GrantRefreshed => "grant.refreshed",
    /// A provider did not answer a refresh.
    RefreshFailed => "grant.refresh_failed",
    /// A provider grant was revoked at the provider.
    GrantRevoked => "grant.revoked",
    /// A provider token was released to a client.
    TokenReleased => "token.released",
    /// A release was refused.
    ReleaseRefused => "token.release_refused",
    /// A call went through the proxy.
    CallMade => "call.made",
    /// A call was refused.
    CallRefused => "call.refused",
    /// A permission was given.
    PermissionGiven => "permission.given",
    /// A permission was changed or paused.
    PermissionChanged => "permission.changed",
    /// A permission was taken back.
    PermissionRevoked => "permission.revoked",
    /// A browser of a person is told of requests by Web Push.
    PushSubscribed => "push.subscribed",
    /// A browser of a person is no longer told.
    PushUnsubscribed => "push.unsubscribed",
    /// A policy was added.
    PolicyAdded => "policy.added",
    /// A policy was taken out.
    PolicyRemoved => "policy.removed",
    /// A person is told of requests in another way than by a browser.
    NoticeChannelAdded => "notice_channel.added",
    /// A person's devices are not rung by an agent for a while.
    AgentMuted => "agent.muted",
    /// They are rung by it again.
    AgentUnmuted => "agent.unmuted",
    /// One of these ways was removed.
    NoticeChannelRemoved => "notice_channel.removed",
    /// An approval was asked for.
    ApprovalRequested => "approval.requested",
    /// An approval was given.
    ApprovalApproved => "approval.approved",
    /// One of several who must approve did.
    ApprovalAgreed => "approval.agreed",
    /// An approval was denied.
    ApprovalDenied => "approval.denied",
    /// An approval ran out.
    ApprovalExpired => "approval.expired",
    /// An approval was cancelled by its client.
    ApprovalCancelled => "approval.cancelled",
    /// An approval was redeemed for a token.
    ApprovalConsumed => "approval.consumed",
    /// A client was told of an approval's end, or could not be.
    ClientNotified => "approval.client_notified",
    /// An approved call is about to be sent.
    ApprovedCallSent => "approval.call_sent",
    /// An approved call was answered.
    ApprovedCallDone => "approval.call_done",
    /// An approved call was refused by the provider, or could not be sent.
    ApprovedCallFailed => "approval.call_failed",
    /// The answer of an approved call was lost.
    ApprovedCallUnknown => "approval.call_unknown",
    /// A run of the embedded agent began.
    RunStarted => "run.started",
    /// A run ended.
    RunEnded => "run.ended",
    /// Keys were made or rotated.
    KeysChanged => "keys.changed",
    /// A copy of the database took the original's place.
    DeploymentAdopted => "deployment.adopted",
    /// A backup of the database was written.
    DeploymentBackedUp => "deployment.backed_up",
    /// The database was restored from a backup.
    DeploymentRestored => "deployment.restored",
    /// Settings were changed.
    SettingsChanged => "settings.changed",
}

/// An event on its way into the log. Made by a verb, inside its write.
#[derive(Clone)]
pub struct Event {
    kind: Kind,
    person: Option<String>,
    client: Option<String>,
    account: Option<String>,
    approval: Option<String>,
    run: Option<String>,
    data: Map<String, Value>,
    private: Vec<(&'static str, String)>,
}

impl Event {
    /// An event of this kind about nobody yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            person: None,
            client: None,
            account: None,
            approval: None,
            run: None,
            data: Map::new(),
            private: Vec::new(),
        }
    }

    /// Names the person it concerns (id).
    #[must_use]
    pub fn person(mut self, id: impl Into<String>) -> Self {
        self.person = Some(id.into());
        self
    }

    /// Names the client (id).
    #[must_use]
    pub fn client(mut self, id: impl Into<String>) -> Self {
        self.client = Some(id.into());
        self
    }

    /// Names the account (id).
    #[must_use]
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.account = Some(id.into());
        self
    }

    /// Names the approval (public id).
    #[must_use]
    pub fn approval(mut self, id: impl Into<String>) -> Self {
        self.approval = Some(id.into());
        self
    }

    /// Names the run (id).
    #[must_use]
    pub fn run(mut self, id: impl Into<String>) -> Self {
        self.run = Some(id.into());
        self
    }

    /// Adds a fact to the leaf. Never a secret, never personal data.
    #[must_use]
    pub fn data(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Adds personal data: the leaf holds only a salted commitment to it.
    #[must_use]
    pub fn private(mut self, field: &'static str, value: impl Into<String>) -> Self {
        self.private.push((field, value.into()));
        self
    }
}

impl Tx {
    /// Records an event as part of this write.
    pub fn record(&mut self, event: Event) {
        let id = self.new_id("evt");
        let at = self.now();
        let mut leaf = Leaf::new(&id, at, event.kind.word(), self.deployment_id());
        leaf.person.clone_from(&event.person);
        leaf.client.clone_from(&event.client);
        leaf.account.clone_from(&event.account);
        leaf.approval.clone_from(&event.approval);
        leaf.run.clone_from(&event.run);
        leaf.data = event.data;
        let mut openings = Vec::new();
        for (field, value) in event.private {
            let salt = self.random::<16>();
            leaf.commitments
                .insert(field.to_owned(), Commitment::of(field, &salt, &value));
            openings.push((field.to_owned(), salt, value));
        }
        let bytes = leaf.bytes();
        self.signal(event.person.as_deref(), "event", &id);
        self.push_event(EventRow {
            id,
            at,
            kind: event.kind.word().to_owned(),
            person_id: event.person,
            client_id: event.client,
            account_id: event.account,
            approval_id: event.approval,
            run_id: event.run,
            leaf_hash: evidence::merkle::leaf_hash(&bytes),
            leaf: bytes,
            openings,
        });
    }
}
