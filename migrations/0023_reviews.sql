-- Reviews go in the order of risk, which moves: so it is weighed again and again while somebody still has to decide.
create table review_risk (
  id         uuid primary key,
  score      smallint not null constraint score_is_a_share check (score between 0 and 100),
  risk       jsonb not null,
  weighed_at timestamptz not null
);
comment on table review_risk is 'A row is the risk of a request or change as it was last weighed; id is that of the request or change.';
