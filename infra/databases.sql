-- The databases of the servers, made once, when the cluster is.
CREATE DATABASE ledger;
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_auth;
