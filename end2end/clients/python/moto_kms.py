"""AWS KMS as moto has it, unmodified, which checks Signature Version 4 with botocore.

Says on standard output, in one line of JSON, where it listens, which key there is
and whose credentials count; ends when its standard input does.
"""

import json
import os
import sys

# So many requests go unsigned: those that make the user, its key and its policy.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://127.0.0.1:{port}"
anybody = {
    "endpoint_url": endpoint,
    "region_name": "eu-central-1",
    "aws_access_key_id": "setup",
    "aws_secret_access_key": "setup",
}
iam = boto3.client("iam", **anybody)
iam.create_user(UserName="attorn")
policy = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*"}
    ],
}
iam.put_user_policy(
    UserName="attorn", PolicyName="attorn", PolicyDocument=json.dumps(policy)
)
access = iam.create_access_key(UserName="attorn")["AccessKey"]
key = boto3.client("kms", **anybody).create_key()["KeyMetadata"]
print(
    json.dumps(
        {
            "endpoint": endpoint,
            "keyId": key["KeyId"],
            "accessKeyId": access["AccessKeyId"],
            "secretAccessKey": access["SecretAccessKey"],
        }
    ),
    flush=True,
)
sys.stdin.read()
server.stop()
