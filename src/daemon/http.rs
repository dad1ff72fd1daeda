//! stub
pub mod listener;
use crate::daemon::health::Health;
pub use listener::{Address, BindError, Listener};
use tokio_util::sync::CancellationToken;
use warp::Filter;
/// stub
pub fn routes(
    health: Health,
) -> impl Filter<Extract = (impl warp::Reply,), Error = warp::Rejection> + Clone + Send + Sync + 'static {
    warp::path!(String).then(move |_p: String| {
        let health = health.clone();
        async move {
            let report = health.report().await;
            let text = report.to_json(true);
            warp::reply::with_status(
                text,
                warp::http::StatusCode::from_u16(if report.ok() { 200 } else { 503 }).expect("valid"),
            )
        }
    })
}
/// stub
pub async fn serve<F>(listener: Listener, routes: F, stop: CancellationToken)
where
    F: Filter<Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Extract: warp::Reply,
{
    let accepting = listener.accepting().expect("a runtime");
    let service = hyper_util::service::TowerToHyperService::new(warp::service(routes));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            guard = accepting.ready() => {
                let mut guard = guard.expect("ready");
                match accepting.accept().expect("accept") {
                    listener::Accepted::Connection(fd) => {
                        let stream = tokio::net::TcpStream::from_std(std::net::TcpStream::from(fd)).expect("tcp");
                        let service = service.clone();
                        let stop = stop.clone();
                        tasks.spawn(async move {
                            let conn = hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                            let mut conn = std::pin::pin!(conn);
                            tokio::select! {
                                _ = &mut conn => {}
                                () = stop.cancelled() => { conn.as_mut().graceful_shutdown(); let _ = conn.await; }
                            }
                        });
                    }
                    _ => guard.clear_ready(),
                }
            }
            () = stop.cancelled() => break,
        }
    }
    while tasks.join_next().await.is_some() {}
}
